"""The policy rules: pure functions over a resource graph.

Used by ``labctl preview`` and ``labctl up``, by the policy pack of the official engine (``policies/``), by the check of
pull requests, and by the tests. Nothing here knows a component or a stack: what depends on the environment comes in as
`EnvironmentFacts`, what may be broken as `NamedException`.
"""

from __future__ import annotations

from .errors import ExceptionsFileError, NoResourceError, RulesError
from .evaluation import RULE_NAMES, RULES, Judgement, broken, judge, mandatory, violations
from .model import EnvironmentFacts, Finding, Rule, RuledResource, Severity, Surroundings, Violation
from .named_exceptions import EXCEPTIONS_FILE, NamedException, NamedExceptions, load_exceptions
from .sources import StateLike, from_goal, from_json, from_state, from_wire

__all__ = [
    "EXCEPTIONS_FILE",
    "RULES",
    "RULE_NAMES",
    "EnvironmentFacts",
    "ExceptionsFileError",
    "Finding",
    "Judgement",
    "NamedException",
    "NamedExceptions",
    "NoResourceError",
    "Rule",
    "RuledResource",
    "RulesError",
    "Severity",
    "StateLike",
    "Surroundings",
    "Violation",
    "broken",
    "from_goal",
    "from_json",
    "from_state",
    "from_wire",
    "judge",
    "load_exceptions",
    "mandatory",
    "violations",
]
