"""Verifies deliveries, one JSON object a line: {secret, headers, body, good}. Prints how many came out as expected."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

right = 0
for line in sys.stdin:
    case = json.loads(line)
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
        good = True
    except WebhookVerificationError:
        good = False
    if good != case["good"]:
        sys.exit(f"good is {good}: {line}")
    right += 1
print(right)
