"""Our workers as they are, but for what a task does, which is to say that it began: no ledger, no outcome.

`celery -A tests.bench.our_worker worker -l info`. Its settings, queues, consumer and task names are the product's.
"""

from types import MethodType

from tasks.contract import Kind, task_name
from tasks.main import celery_app as app
from tests.bench.began import began


def say(task, argument):
    began(task.request.id)
    return argument["service"]


for kind in Kind:  # a second application would have the first one's tasks as well, in no certain order
    made = app.tasks[task_name(kind)]
    made.run = MethodType(say, made)
