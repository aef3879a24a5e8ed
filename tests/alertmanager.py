"""A private Alertmanager for tests: it groups by `alertname` over services, at once, and tells a webhook."""

import shutil

import httpx2

from app.local.ports import HOST
from app.local.server import Program

CONFIG = """
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""


class Alertmanager(Program):
    """One server without a cluster; `tells` is the address of the webhook."""

    title = "Alertmanager"
    name = "alertmanager"
    port_names = ("alertmanager",)

    def __init__(self, directory, tells):
        super().__init__(directory)
        self.tells = tells

    @staticmethod
    def missing():
        return [] if shutil.which("prometheus-alertmanager") else ["prometheus-alertmanager"]

    @property
    def address(self):
        return f"{HOST}:{self.ports['alertmanager']}"

    @property
    def url(self):
        return f"alertmanager://{self.address}"

    def alerts(self):
        """What it holds to be firing."""
        return httpx2.get(f"http://{self.address}/api/v2/alerts", timeout=5).json()

    def _prepare(self):
        (self.directory / "config.yaml").write_text(CONFIG.format(url=self.tells))

    def _command(self):
        return [
            "prometheus-alertmanager", f"--config.file={self.directory / 'config.yaml'}",
            f"--storage.path={self.directory / 'data'}", f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]  # fmt: skip

    def _serves(self):
        try:
            return httpx2.get(f"http://{self.address}/-/ready", timeout=2).is_success
        except httpx2.HTTPError:
            return False
