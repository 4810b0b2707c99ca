"""`python -m tests.doubles.stripe --port N [--webhook URL --secret S]`: the double alone."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.doubles.stripe.server import KEY, StripeDouble


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.doubles.stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--webhook", help="where events are sent")
    parser.add_argument("--secret", default="whsec_double", help="what they are signed with")
    parser.add_argument("--rate", type=int, help="answer 429 above so many requests a second")
    parser.add_argument(
        "--unruly", action="store_true", help="send every event twice, the latest first"
    )
    given = parser.parse_args()
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    with StripeDouble(given.port, webhook=given.webhook, secret=given.secret) as double:
        double.api.rate = given.rate
        if given.webhook:
            double.deliver_always(
                0.5,
                copies=2 if given.unruly else 1,
                order="reversed" if given.unruly else "as_made",
            )
        print(f"STRIPE_BASE_URL={double.url} STRIPE_API_KEY={KEY}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
