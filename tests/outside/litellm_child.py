"""Calls models through LiteLLM with its `generic_api` callback, as an application would. Answers
are mocked, so nothing leaves this machine. Run by an interpreter that has litellm.

    python litellm_child.py LOG_FORMAT        endpoint and key in GENERIC_LOGGER_ENDPOINT, …_HEADERS
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import litellm  # type: ignore[import-not-found]
from litellm import Router
from litellm.integrations.generic_api.generic_api_callback import (  # type: ignore[import-not-found]
    GenericAPILogger,
)

MESSAGES = [{"role": "user", "content": "what nobody may keep"}]


async def main(log_format: str) -> None:
    logger = GenericAPILogger(log_format=log_format, batch_size=1000, flush_interval=3600)
    litellm.callbacks = [logger]
    await call()
    await heard(logger, 5)
    await logger.async_send_batch()


async def heard(logger: Any, calls: int) -> None:
    """Wait until so many calls are queued: callbacks run beside the calls."""
    for _ in range(600):
        if len(logger.log_queue) >= calls:
            return
        await asyncio.sleep(0.05)


async def call() -> None:
    said: dict[str, Any] = {"messages": MESSAGES, "mock_response": "what nobody may keep"}
    await litellm.acompletion(
        model="gpt-4o",
        user="jane@example.com",
        metadata={
            "tags": ["tenant:acme", "feature:summary"],
            "spend_logs_metadata": {"prompt_version": "v3"},
        },
        **said,
    )
    stream = await litellm.acompletion(
        model="gpt-4o-mini", stream=True, stream_options={"include_usage": True}, **said
    )
    async for _ in stream:
        pass
    router = Router(
        model_list=[
            deployment("fast", "gpt-4o-mini", mock_response="litellm.RateLimitError"),
            deployment("good", "gpt-4.1", mock_response="fine"),
        ],
        fallbacks=[{"fast": ["good"]}],
        num_retries=1,
        retry_after=0,
    )
    await router.acompletion(model="fast", messages=MESSAGES)


def deployment(name: str, model: str, **more: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_key": "none", **more}}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
