"""The Azure Functions app: triggers that decode, call one service and return.

Importing it imports ``azure.functions`` alone, so that the host can index the functions at once; the rest is imported by the
first invocation.
"""

from __future__ import annotations

import json
import logging
import os

import azure.functions as func

app = func.FunctionApp()

# The worker passes on what is logged at level INFO, and Azure's SDKs log every request and answer with their headers there.
logging.getLogger("azure").setLevel(logging.WARNING)

_QUEUE = "linkguard-reconcile"
_STORAGE = "AzureWebJobsStorage"


@app.event_grid_trigger(arg_name="event")
async def on_resource_write(event: func.EventGridEvent) -> None:
    """Put a message on the queue for an event that is a reason to look. Both schemas arrive here."""
    from shared.core.event import RawEvent  # noqa: PLC0415  heavy: not before it is needed
    from shared.hosting import PROCESS  # noqa: PLC0415  the same
    from shared.services.dispatch import take_event  # noqa: PLC0415  the same

    arrived: object = event
    if isinstance(arrived, func.CloudEvent):
        kind, time = arrived.type, arrived.time
    else:
        kind, time = event.event_type, event.event_time
    raw = RawEvent(id=event.id, type=kind, subject=event.subject, time=time, data=event.get_json())
    await take_event(await PROCESS.work(os.environ), raw)


@app.queue_trigger(arg_name="message", queue_name=_QUEUE, connection=_STORAGE)
async def reconcile(message: func.QueueMessage) -> None:
    """Take one step on what the message names; what is not done yet puts itself back."""
    from shared.hosting import PROCESS  # noqa: PLC0415  heavy: not before it is needed
    from shared.services.dispatch import Arrival, take_message  # noqa: PLC0415  the same

    arrival = Arrival(
        id=message.id or "",
        text=message.get_body().decode(errors="replace"),
        inserted=message.insertion_time,
        tries=message.dequeue_count or 1,
    )
    await take_message(await PROCESS.work(os.environ), arrival)


@app.queue_trigger(arg_name="message", queue_name=f"{_QUEUE}-poison", connection=_STORAGE)
async def reconcile_poison(message: func.QueueMessage) -> None:
    """Say that work failed too often; the next sweep makes up for it."""
    from shared.hosting import PROCESS  # noqa: PLC0415  heavy: not before it is needed
    from shared.services.poison import take_poison  # noqa: PLC0415  the same

    await take_poison(await PROCESS.work(os.environ), message.id or "", message.get_body().decode(errors="replace"))


# The host keeps the last run's time (use_monitor), so a sweep missed while the app was down is made up for; a scale-out or a
# restart starts none by itself.
@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_SWEEP_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Look at every watched target, and approve what is proven. Late or on time is the same."""
    from shared.hosting import PROCESS  # noqa: PLC0415  heavy: not before it is needed
    from shared.services.rounds import run  # noqa: PLC0415  the same

    await run(await PROCESS.work(os.environ))


# A timer, since the blob trigger of Flex Consumption wants an event subscription to a URL with a key in it.
@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_DEAD_LETTERS_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def collect_dead_letters(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Turn each event that could not be delivered into a message and a finding."""
    from shared import hosting  # noqa: PLC0415  heavy: not before it is needed

    await hosting.collect_dead_letters(os.environ)


@app.route(route="health", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def health(request: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  the binding's name must be a parameter
    """200 where all is well, else 503 with the reasons."""
    from shared.hosting import answer_health  # noqa: PLC0415  heavy: not before it is needed

    status, body = await answer_health(os.environ)
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )


@app.route(route="report", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def report(request: func.HttpRequest) -> func.HttpResponse:
    """The report as a page, or as JSON with ``?format=json``. Reads the stores; never asks Azure."""
    from shared import hosting  # noqa: PLC0415  heavy: not before it is needed

    answer = await hosting.answer_report(os.environ, request.headers, request.params.get("format", ""))
    return func.HttpResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))


@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_EXPORT_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def export_ledger(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Anchor what the ledger has gained, where nobody can change it."""
    from shared import hosting  # noqa: PLC0415  heavy: not before it is needed

    await hosting.export_ledger(os.environ)


@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_ALERTS_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def deliver_alerts(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Tell every sink what changed and what it has not been told yet."""
    from shared import hosting  # noqa: PLC0415  heavy: not before it is needed

    await hosting.deliver_alerts(os.environ)


@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_AUDIT_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def audit_traffic(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Judge from the traffic logs whether upstream calls were private. Late or on time, no row is left out."""
    from shared import hosting  # noqa: PLC0415  heavy: not before it is needed

    await hosting.audit_traffic(os.environ)
