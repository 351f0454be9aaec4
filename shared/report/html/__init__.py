"""The report as one self-contained HTML page: nothing is fetched, and nothing from outside is markup.

``view`` turns the data into plain text and places, ``picture`` and ``chart`` lay out what is drawn, ``page`` fills the
templates. The drawings are SVG from templates of our own: charting libraries bring styles and scripts of their own into
each drawing, which the page's content security policy forbids, and none draws the picture of who is connected to whom.
"""

from shared.report.html.page import content_security_policy, report_html

__all__ = ["content_security_policy", "report_html"]
