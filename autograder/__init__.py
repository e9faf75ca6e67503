"""The grader: weaves the labs, runs each check on the learner and on the reference, and judges."""

import sys

# jsonschema, which nbformat imports, would build a grammar of international addresses with it, for most of a second in
# each process; notebooks hold none that anybody checks. None makes that import fail, and jsonschema goes on without.
sys.modules.setdefault("rfc3987_syntax", None)
