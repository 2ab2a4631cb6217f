"""A run of DBOS Transact that can be killed: `dbos_run.py chain|fan-out`, in a folder of its own.

The documented way: steps in a workflow with an id, SQLite as its system database; `launch` takes up
what an earlier process left. A bounded fan-out is a queue with two workers.
"""

from __future__ import annotations

import sys

from dbos import DBOS, SetWorkflowID

from bench.reliability.world import act_now


@DBOS.step()
def effect(label: str) -> str:
    act_now(label)
    return label


@DBOS.workflow()
def one(label: str) -> str:
    return effect(label)


@DBOS.workflow()
def run(shape: str, labels: list[str]) -> list[str]:
    if shape == "chain":
        return [effect(label) for label in labels]
    queue = DBOS.retrieve_queue("two")
    handles = [queue.enqueue(one, label) for label in labels]
    return [handle.get_result(polling_interval_sec=0.02) for handle in handles]


def main(shape: str, *labels: str) -> None:
    DBOS(
        config={
            "name": "kills",
            "system_database_url": "sqlite:///dbos.sqlite",
            "application_version": "1",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.register_queue("two", worker_concurrency=2, polling_interval_sec=0.02)
    if DBOS.get_workflow_status("run") is None:
        with SetWorkflowID("run"):
            handle = DBOS.start_workflow(run, shape, list(labels))
    else:
        handle = DBOS.retrieve_workflow("run")
    assert handle.get_result(polling_interval_sec=0.02) == list(labels)
    DBOS.destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
