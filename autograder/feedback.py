"""A verdict in words: as plain text for a terminal, as HTML for a notebook or a page."""

from html import escape

from autograder.judge import Verdict

VERDICT_MIME = "application/vnd.pruning-course.verdict+json"


def as_text(verdict: Verdict) -> str:
    """Write a verdict as lines of text: the points, and for each lost check what was returned and expected."""
    lines = [f"{verdict.question}: {verdict.points:g} of {verdict.max_points:g} points"]
    if verdict.note:
        return "\n".join([*lines, f"  {verdict.note}"])
    lines += [f"  {likely(verdict.certain)} mistake: {cause}" for cause in verdict.causes]
    for item in verdict.checks:
        if item.passed:
            continue
        where = f" (at {item.where})" if item.where else ""
        lines += [f"  ✗ {item.rule}", f"      {item.problem}{where}"]
        if item.returned:
            lines += [f"      returned  {item.returned}", f"      expected  {item.expected}"]
    return "\n".join(lines)


def likely(certain: bool) -> str:
    """The word for how sure the diagnosis is."""
    return "Likely" if certain else "Possible"


def as_html(verdict: Verdict) -> str:
    """Write a verdict as an HTML fragment; everything that comes from the learner is escaped."""
    colour = "#1b7837" if verdict.full else "#b35806"
    parts = [
        f'<div style="border-left:4px solid {colour};padding:.3em .8em;margin:.3em 0">'
        f"<b><code>{escape(verdict.question)}</code>: {verdict.points:g} of {verdict.max_points:g} points</b>"
    ]
    if verdict.note:
        parts.append(f"<p>{escape(verdict.note)}</p>")
    else:
        kind = likely(verdict.certain)
        parts += [f"<p><b>{kind} mistake:</b> {escape(cause)}</p>" for cause in verdict.causes]
        for item in verdict.checks:
            if not item.passed:
                parts.append(_check_html(item))
    return "".join(parts) + "</div>"


def _check_html(item) -> str:
    where = f" (at {escape(item.where)})" if item.where else ""
    values = ""
    if item.returned:
        values = f"<br>returned <code>{escape(item.returned)}</code><br>expected <code>{escape(item.expected)}</code>"
    return f"<p>✗ {escape(item.rule)}<br>{escape(item.problem)}{where}{values}</p>"


def display_bundle(verdict: Verdict) -> dict:
    """A verdict as a notebook's display bundle: text, HTML, and the plain data that reports read."""
    return {"text/plain": as_text(verdict), "text/html": as_html(verdict), VERDICT_MIME: verdict.plain()}
