"""The front door without a socket, under a clock that moves when told to."""

from __future__ import annotations

import json
from typing import Any

from shared.local_azure import LOCAL_TOKEN, Knobs, ManualClock, World
from shared.local_azure.front_door import FrontDoor, HttpAnswer, HttpRequest

BASE = "https://management.azure.com"


class Door:
    """A service and a site, and ARM's front door before them."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self.clock = ManualClock()
        self.world = World(clock=self.clock, knobs=knobs)
        self.knobs = self.world.knobs
        self.front = FrontDoor(self.world)
        self.service = self.world.add_signalr(tags={"key1": "value1"})
        self.site = self.world.add_site()

    def ask(
        self, method: str, path: str, body: object = None, *, token: str = LOCAL_TOKEN, query: dict[str, str] | None = None
    ) -> HttpAnswer:
        return self.front.answer(
            HttpRequest(
                method=method,
                path=path,
                query={"api-version": "2023-02-01"} if query is None else query,
                authorization=f"Bearer {token}" if token else "",
                body=b"" if body is None else json.dumps(body).encode(),
                base=BASE,
            )
        )

    def json(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        return json.loads(self.ask(method, path, body).body)

    def code(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, str]:  # noqa: ANN401  see ask
        answer = self.ask(method, path, body, **more)
        return answer.status, json.loads(answer.body)["error"]["code"]
