"""The report as one self-contained HTML page: nothing is fetched, and nothing from outside is markup.

``view`` turns the data into plain text and places, ``picture`` and ``chart`` lay out what is drawn, ``drawing`` draws the charts,
``form`` lets one template serve Jinja2 and the script, ``page`` fills the templates.
"""

from shared.report.html.page import content_security_policy, report_html

__all__ = ["content_security_policy", "report_html"]
