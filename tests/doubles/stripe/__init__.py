"""A small Stripe, for tests and the demo: the calls that the product makes, as Stripe's
documentation describes them, over HTTP on 127.0.0.1.

`python -m tests.doubles.stripe --port 12111 [--webhook URL --secret whsec_…]` runs it alone;
`StripeDouble` runs it inside a test. What goes wrong at will is in `faults`; `/_control/…` reaches
everything from another process. Requests are checked against the SDK's own typed parameters.
"""

from tests.doubles.stripe.server import StripeDouble

__all__ = ["StripeDouble"]
