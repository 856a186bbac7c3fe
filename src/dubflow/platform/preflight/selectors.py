"""Label selectors as Kubernetes reads them."""

from __future__ import annotations

from dubflow.platform.preflight.resources import Body, bodies, mapping, words


def selects(selector: object, labels: Body) -> bool:
    """Whether a label selector (``matchLabels``, ``matchExpressions``) takes those labels; an empty one takes all."""
    found = mapping(selector)
    if any(labels.get(key) != value for key, value in mapping(found.get("matchLabels")).items()):
        return False
    return all(_holds(one, labels) for one in bodies(found.get("matchExpressions")))


def _holds(expression: Body, labels: Body) -> bool:
    key, values = str(expression.get("key")), words(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
