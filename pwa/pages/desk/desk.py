"""The call desk: who calls, what about, what is said, and how it ends. One form; each call is kept once."""

from babel import Locale
from flask import Blueprint, Response, request

from pwa.desk import call_page
from pwa.desk.call_page import Known
from pwa.web import access, forms, localization
from pwa.web.fragments import render

bp = Blueprint("desk", __name__, url_prefix="/desk")


@bp.get("")
def desk() -> Response:
    """An empty form for the next call; ?place stands in it already, where somebody comes from a place."""
    place = " ".join(forms.text(request.args, "place").split())[: forms.MOST_OF_A_LINE]
    return call_page.page(call_page.fresh(place), saved=request.args.get("saved", ""))


@bp.get("/found")
def found() -> Response:
    """What the words in ?q may mean, as lines of the list under the box, the best first."""
    typed, lang = (
        forms.text(request.args, "q")[: forms.MOST_OF_A_LINE],
        call_page.lang_of(request.args.get("lang", "")),
    )
    with access.reading() as s:
        return render("desk/_found.html", **call_page.found_lines(s, typed, lang), by_button=False)


@bp.post("/parts")
def parts() -> Response:
    """What follows from the form as it stands: the caller, the questions, the script, the near cases.

    It changes nothing but that the log hears of it, and is posted: a caller's number stands in no address.
    """
    return call_page.parts(forms.call(request.form, access.current_city().city))


@bp.post("/script")
def script() -> Response:
    """What is said of one line of the list, for a call-taker who only wants to read it."""
    form = forms.call(request.form, access.current_city().city)
    with access.reading() as s:
        return render("desk/_script.html", **call_page.around(s, form, Known(), call_page.lang_of(form.lang)))


@bp.post("/calls")
def end() -> Response:
    """Keeps the call and gives an empty form; or the form again with all that was typed."""
    return call_page.posted()


@bp.app_template_filter()
def topic(code: str) -> str:
    """What a call was about, in words; one that left the city file by its code."""
    names = next((each.names for each in access.current_city().city.topics if each.code == code), None)
    return localization.said(names) if names else code


@bp.app_template_filter()
def endonym(code: str) -> str:
    """A language's name in that language."""
    return (Locale.parse(code).get_language_name(code) or code).capitalize()
