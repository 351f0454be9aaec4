"""The Azure Functions app: triggers that decode, call one service and return.

Importing it imports ``azure.functions`` alone, so that the host can index the functions at once; the rest is imported by the
first invocation.
"""

from __future__ import annotations

import os

import azure.functions as func

app = func.FunctionApp()


# The host keeps the last run's time (use_monitor), so a sweep missed while the app was down is made up for; a scale-out or a
# restart starts none by itself.
@app.timer_trigger(arg_name="timer", schedule="%LINKGUARD_SWEEP_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding's name must be a parameter
    """Look at every watched target, and approve what is proven."""
    from shared import bootstrap  # noqa: PLC0415  heavy: not before it is needed

    async with bootstrap.open_application(os.environ) as application:
        await application.sweep()


@app.route(route="report", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def report(request: func.HttpRequest) -> func.HttpResponse:
    """The report as a page, or as JSON with ``?format=json``. Reads the stores; never asks Azure."""
    from shared import bootstrap  # noqa: PLC0415  heavy: not before it is needed

    answer = await bootstrap.answer_report(os.environ, request.headers, request.params.get("format", ""))
    return func.HttpResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))
