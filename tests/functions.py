"""The functions of the deployed app, as the Functions host finds them."""

from __future__ import annotations

import functools
from typing import Any

from function_app import app


@functools.cache
def bindings() -> dict[str, list[dict[str, Any]]]:
    """Each function's bindings by its name. The app hands its functions out once a process, so they are kept here."""
    return {
        str(function.get_function_name()): [binding.get_dict_repr() for binding in function.get_bindings()]
        for function in app.get_functions()
    }
