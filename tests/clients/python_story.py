"""What a server does with posthog (PyPI): visits, properties, an alias, an event without a person.

Arguments: host, project token, and `gzip` to have bodies packed.
"""

import json
import sys

from posthog import Posthog

host, token = sys.argv[1:3]
errors = []
client = Posthog(
    token,
    host=host,
    gzip="gzip" in sys.argv[3:],
    on_error=lambda error, events: errors.append(f"{error}"),
)
client.capture("python visited", distinct_id="python_anon", properties={"page": "/"})
client.set(distinct_id="python_user", properties={"plan": "paid"})
client.set_once(distinct_id="python_user", properties={"first": "python"})
client.alias(previous_id="python_anon", distinct_id="python_user")
client.capture("python bought", distinct_id="python_user", properties={"euros": 7})
client.capture("python nobody")
flags = client.get_all_flags("python_user")
client.shutdown()
print(json.dumps({"errors": errors, "flags": flags}))
