"""TLS to RabbitMQ, for both sides: whose certificate is believed.

The authorities are those that the system trusts, or those of the file that the variable `SSL_CERT_FILE` names.
"""

import ssl
from typing import Any
from urllib.parse import urlsplit


def of_amqp(url: str) -> dict[str, Any] | bool:
    """What kombu and Celery are to ask of a server at an address `amqps://`; False for one in the clear.

    py-amqp by itself believes any certificate of a known authority, whatever name it is for.
    """
    parts = urlsplit(url)
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname} if parts.scheme == "amqps" else False
