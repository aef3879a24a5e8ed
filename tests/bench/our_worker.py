"""Our workers as they are, but for what a task does, which is to say that it began: no ledger, no outcome.

`celery -A tests.bench.our_worker worker -l info`. Its settings, queues, consumer and task names are the product's.
"""

from tasks import main
from tasks.settings import settings
from tests.bench.began import began


def _do(task, argument):
    began(task.request.id)
    return argument["service"]


main._do = _do
app = main.build_app(settings())
