"""What several audiences read: states, outcomes, promises, errors, layout."""

from wording import Plural, Sentence

ABOUT_FROM = Sentence("about %(distance)s from %(place)s")
ANSWERED = Sentence("Answered")
ANSWERS = Sentence("Answers")
ANSWER_MOMENT = Sentence("Enter a date and a time.")
ANSWER_NEEDED = Sentence("Add an answer: choose a saved reply or write one.")
ANSWER_NUMBER = Sentence("Enter a number, like 3 or 2.5.")
BAD_BOX = Sentence(
    "Area %(nth)s doesn't fit in the photo. Enter four numbers from 0 to 100. Left plus width can't be "
    "more than 100, and neither can top plus height.",
)
BAD_EMAIL = Sentence("Enter an email address like name@example.com.")
BAD_PHONE = Sentence("That isn't a valid phone number. Leave it empty if you don't know it.")
BAD_PUSH = Sentence("Notifications don't work in this browser. Leave your email address instead.")
BAD_REVIEW_DAY = Sentence("Choose a date for the next review.")
BAD_SLUG = Sentence("Use lowercase letters, numbers, and single hyphens: pay-property-tax.")
BAD_TAG = Sentence("Tags can have 1 to %(most)s characters.")
BATCH_REFUSED = Sentence("No changes made, because these cases can't be changed that way:")
BY = Sentence("By %(day)s")
CALL = Sentence("Call %(number)s")
CALLER_PHONE_MISSING = Sentence("Enter the caller's phone number, or choose another way to send updates.")
CALL_ALREADY_SAVED = Sentence(
    "This call was already saved as: %(outcome)s. Save again to log it as a separate call.",
)
CANCELED_AS_SPAM = Sentence("Not a real report")
CANCEL_REASON_TEST = Sentence("Test")
CANNOT_BE_READ = Sentence("Part of that can't be read")
CASE_ACCEPTED = Sentence("%(number)s accepted")
CASE_CLOSED = Sentence("%(number)s closed: %(outcome)s")
CASES_ACCEPTED = Plural("%(n)s case accepted", "%(n)s cases accepted", number="n")
CASES_ASSIGNED = Plural("%(n)s case assigned to %(crew)s", "%(n)s cases assigned to %(crew)s", number="n")
CASES_AT_PIN = Sentence("%(num)s cases, most urgent: %(standing)s")
CASES_CLOSED = Plural("%(n)s case closed: %(outcome)s", "%(n)s cases closed: %(outcome)s", number="n")
CASES_MERGED = Plural("%(n)s case merged into %(number)s", "%(n)s cases merged into %(number)s", number="n")
CASES_ON_HOLD = Plural(
    "%(n)s case put on hold: %(reason)s",
    "%(n)s cases put on hold: %(reason)s",
    number="n",
)
CASES_PUT_BACK = Plural(
    "%(n)s case put back the way it was",
    "%(n)s cases put back the way they were",
    number="n",
)
CASE_PUT_BACK = Sentence("%(number)s put back the way it was")
CASES_RAISED = Plural("%(n)s case set to high priority", "%(n)s cases set to high priority", number="n")
CASES_TAGGED = Plural("%(n)s case tagged “%(tag)s”", "%(n)s cases tagged “%(tag)s”", number="n")
CHANGED_MEANWHILE = Sentence(
    "Someone else changed this while you were working. Check the new version, then save again.",
)
CHECK_EMAIL = Sentence("Check your email.")
CHECK_TEXTS = Sentence("Check your texts.")
CHOOSE_TYPE = Sentence("Choose the type of problem.")
CLICK_LINK_MORNINGS = Sentence(
    "Click the link in the email we sent. After that, we'll email you on mornings when there's "
    "something new.",
)
CLOSED = Sentence("Closed")
CLOSED_WITHOUT_ANSWER = Sentence("Closed without an answer")
CORRECTED = Sentence("We corrected your report. It's now “%(what)s” at %(where)s.")
DAYS_EARLY = Plural("Done %(num)d day early", "Done %(num)d days early")
DISPATCHER_ROLE = Sentence("Dispatcher")
EMPTY_TEXT = Sentence("Each language needs a title, text, and a script to read aloud.")
EVIDENCE_MISSING = Sentence("Add a photo or choose why there isn't one.")
FILE_IS_DAMAGED = Sentence("The file is damaged and can't be read.")
FILE_IS_NO_PHOTO = Sentence("The file isn't a photo.")
FIND = Sentence("Find")
FIVE_PHOTOS = Sentence("You can add up to five photos. Remove one first.")
FIXED = Sentence("Fixed")
FIX_UNSAID = Sentence("We can't tell how exact your location is. Enter your address.")
FIX_UNSURE = Sentence(
    "Your location may be off by %(distance)s, where the pickup day can be different. Enter your address.",
)
FOLLOWED_REPORT = Sentence("report %(number)s")
HOLD_UNNAMED = Sentence("Enter who asked for the legal hold and why.")
HOOK_GONE = Sentence("Nothing is at that address anymore (%(status)s).")
HOOK_NOT_UNDERSTOOD = Sentence("The other system couldn't read our request (%(status)s).")
HOOK_OVERLOADED = Sentence("The other system is down or overloaded (%(status)s).")
HOOK_PRIVATE = Sentence("The name points inside a private network, so we didn't send to it.")
HOOK_REDIRECTS = Sentence("The address redirects somewhere else (%(status)s). Add the new address instead.")
HOOK_SILENT = Sentence("The other system isn't answering.")
HOOK_TOO_SLOW = Sentence("The other system took too long to answer.")
HOUSE_UNSURE = Sentence(
    "This house isn't on our map. Our point may be off by %(distance)s, where the pickup day can be "
    "different. Enter a corner near you.",
)
IN_AN_EMERGENCY = Sentence("In an emergency, call %(number)s.")
KEY_IN_ADDRESS = Sentence("Send api_key in the form, not in the address.")
KNOWN_EMAIL = Sentence("Someone with this email is already on the list.")
KNOWN_SLUG = Sentence("There's already an answer at that address. Choose another.")
LAST_ADMINISTRATOR = Sentence(
    "At least one person has to be an administrator. Add another administrator first.",
)
LINE_OPENS_ON = Sentence("Our phone line is closed. It opens %(day)s at %(time)s.")
LINE_OPENS_TODAY = Sentence("Our phone line is closed. It opens today at %(time)s.")
LINE_OPENS_TOMORROW = Sentence("Our phone line is closed. It opens tomorrow at %(time)s.")
LOG_OUT = Sentence("Log out")
MADE_SAFE = Sentence("Made safe")
MAP = Sentence("Map")
MARK_CLOSED = Sentence("A crew sent an update after the case was closed.")
MARK_REASSIGNED = Sentence("A crew sent an update after the job went to another crew.")
MAY_SEND_REPORTS = Sentence("send reports")
MAY_UPDATE_STATUS = Sentence("update their status")
MERGE_CALLER = Sentence("You can merge office work only when the same caller asked the same question twice.")
NEAR = Sentence("Near %(address)s")
NEEDED_NO_CHANGE = Plural("%(n)s needed no change", "%(n)s needed no change", number="n")
NEW = Sentence("New")
NONE = Sentence("None")
NOTHING_CHOSEN = Sentence("Select at least one case first.")
NOTHING_SAVED = Sentence(
    "Nothing was saved. Wait a minute, go back, and send it again. If it's urgent, call %(number)s.",
)
NOT_ALLOWED = Sentence("You don't have permission to do this.")
NOT_A_CITY_QUESTION = Sentence("Not a city question")
NOT_A_PHOTO = Sentence("We can't read that file as a photo. Choose a JPEG, HEIC, AVIF, PNG, or WebP image.")
NOT_FOUND = Sentence("We checked and found nothing")
NOT_MARKDOWN = Sentence("This isn't plain Markdown: %(found)s. Remove it. HTML and scripts aren't shown.")
NOT_OURS = Sentence("Not the city's responsibility")
NO_ACCESS_TITLE = Sentence("You don't have access")
NO_AREA = Sentence("That case isn't in a neighborhood on the city's map.")
NO_BOXES = Sentence("Choose which part of the photo to cover.")
NO_CREW_FOR_OFFICE = Sentence("This is office work, so there's no crew.")
NO_PLACE = Sentence("That case has no location, so we can't find anything nearby.")
NO_SIGNAL = Sentence("No signal")
OLD_NUMBER = Sentence("old number %(number)s")
ON_HOLD_FOR = Sentence("It's on hold. %(why)s.")
TYPE_CORRECTED = Sentence("The city corrected the type of problem")
WAITING_FOR_PARTS = Sentence("Waiting for parts")
ON_LEGAL_HOLD = Sentence("This case is under a legal hold, so nothing in it can be removed or covered.")
OPEN_ALWAYS = Sentence("Open now, 24 hours a day.")
OPEN_FIREFOX_MENU = Sentence("Open the Firefox menu.")
OPEN_UNTIL = Sentence("Open now until %(time)s.")
OUTSIDE_CITY = Sentence("This place is outside the city, so we can't send a crew. Contact the town it's in.")
OVERTAKEN = Sentence("No changes made. This case changed while you had it open.")
PAGE_STALE_TITLE = Sentence("This page was open too long")
PHOTO_DAMAGED = Sentence(
    "That photo is damaged. Take it again or choose another one. Everything else is saved.",
)
PHOTO_GONE = Sentence("That photo is gone. Someone erased it or covered part of it while you were working.")
PHOTO_TOO_LARGE = Sentence("That photo is larger than 20 MB. Choose a smaller one.")
PHOTO_TOO_MANY_PIXELS = Sentence("That image is too large to open safely. Choose a smaller one.")
PLACE_MISSING = Sentence("Enter where it is: an address, a cross street, or the number on a pole.")
PLACE_UNKNOWN = Sentence(
    "We couldn't find that place. Try a street address, two cross streets, or a pole number.",
)
PLACE_UNSURE = Sentence("We're not sure where this is. Confirm the spot, or enter a house number or corner.")
POLE = Sentence("Pole %(number)s")
PROBLEMS = Plural("There is 1 problem", "There are %(num)d problems")
PUBLIC_STEP_BATCH_UNDONE = Sentence("The city corrected its last update")
PUBLIC_STEP_TAKEN_BACK = Sentence("The crew corrected its last update")
QUARANTINED = Sentence("We couldn't read it, or it was rejected. It's kept here exactly as received.")
REMOVE = Sentence("Remove")
REOPENED = Sentence("Reopened")
REPLY_MISFITS = Sentence("That saved reply is for a different outcome or service. Choose another one.")
REPORT_A_PROBLEM = Sentence("Report a problem")
REPORT_CHANGED = Sentence("This report changed in the meantime. Check the latest first.")
SAVE = Sentence("Save")
SEND_AS_FORM = Sentence("Send data as a form: application/x-www-form-urlencoded or multipart/form-data.")
SEND_FEWER_PHOTOS = Sentence("Send fewer or smaller photos.")
SHUT_OUT = Sentence("Restore this person's access first.")
STAGE_ASSIGNED = Sentence("crew assigned")
STAY_BACK = Sentence("Stay back and call %(number)s.")
STEP_ACCEPTED = Sentence("The city reviewed the report")
STEP_ASSIGNED = Sentence("Crew assigned")
STEP_CLEARED = Sentence("Description, photos, and addresses removed under the retention schedule")
STEP_COVERED = Sentence("Part of a photo was covered permanently")
STEP_FIXED_CONFIRMED = Sentence("A resident confirmed it's fixed")
STEP_HOLD_LIFTED = Sentence("Legal hold lifted")
STEP_JOINED = Sentence("Reported by another resident")
STEP_TOLD_APART = Sentence("Marked as not a duplicate")
STORE_DOWN = Sentence("We can't reach the photos right now. Nothing was covered. Try again in a few minutes.")
TAKING_TOO_LONG = Sentence("This is taking too long")
TAKEN_WITHOUT = Sentence("We got this report without %(name)s. %(fault)s")
TAP_SHARE = Sentence("Tap the Share button.")
TOO_DARK = Sentence("Too dark")
TOO_LONG = Sentence("That's too long. Keep it under %(most)s characters.")
TOO_MANY_BOXES = Sentence("That's too many areas. You can cover up to %(most)s at a time.")
TOO_MANY_CASES = Sentence(
    "You selected %(asked)s cases. You can change up to %(most)s at a time. Narrow it with a view or "
    "the map.",
)
TOO_MANY_FOLLOWERS = Sentence(
    "Too many devices already get notifications about this. Leave your email address instead."
)
TOO_MANY_READS = Sentence("Wait a minute, then load this page again. If it's urgent, call %(number)s.")
TOO_MANY_READS_TITLE = Sentence("Too many requests in a short time")
TOO_MANY_SHARED_VIEWS = Sentence(
    "You've reached the limit of %(most)s shared views. Ask a supervisor to remove one.",
)
NOT_YOUR_LINK = Sentence(
    "This link was made for another email address. Enter yours, or ask for a link of your own."
)
TOO_MANY_WRONG_CODES = Sentence(
    "Too many wrong codes were entered for this address. For up to a day, log in only in a browser where "
    "you've logged in before, or ask an administrator for a link."
)
TOO_MANY_TRIES = Sentence(
    "Nothing is lost. Wait a few minutes, go back, and send it again. If it's urgent, call %(number)s.",
)
TOO_MANY_VIEWS = Sentence("You've already saved %(most)s views, the limit. Remove one first.")
UNDO = Sentence("Undo")
UNDONE_ALREADY = Sentence("This was already undone. Nothing changed.")
UNKNOWN_DEPARTMENT = Sentence("Choose the department that keeps this answer up to date.")
CHANGED_SINCE_CHOSEN = Sentence("Changed after you selected it. Check it, then try again.")
UNKNOWN_NUMBER = Sentence("There's no case with that number.")
UNKNOWN_REPLY = Sentence("That saved reply no longer exists. Choose another one or write your own.")
UNKNOWN_TOPIC = Sentence("Choose a topic.")
UNKNOWN_VALUE = Sentence("Choose one of the options on the page.")
UPDATE_FROM = Sentence("%(name)s update: %(status)s.")
WAITING_FOR = Sentence("Waiting for %(name)s")
WAITING_FOR_RESIDENT = Sentence("Waiting for the resident")
WAITING_FOR_UTILITY = Sentence("Waiting for the utility")
WAITING_FOR_WEATHER = Sentence("Waiting for the weather")
WAITING_FOR_YOUR_ANSWER = Sentence("Waiting for your answer")
WAY_BACK_MISSING = Sentence(
    "Ask how to reach them. Enter their number, or choose “Email” or “They'll call back.”",
)
WEATHER = Sentence("Weather")
WHERE_YOU_ARE = Sentence("Where you are now")
WHICH_ONE = Sentence("Which one?")
WITH_NO_LOCATION = Sentence("%(num)s with no location")
WRONG_STATE = Sentence("This case is %(state)s now, so you can't do that.")
NO = Sentence("No")
YES = Sentence("Yes")
CASES_CHANGED_TO = Plural("%(n)s case changed to %(type)s", "%(n)s cases changed to %(type)s", number="n")
CASES_MOVED = Plural("%(n)s case moved", "%(n)s cases moved", number="n")
CASE_CHANGED_TO = Sentence("%(number)s changed to %(type)s")
CASE_MOVED = Sentence("%(number)s moved")
CREW_HAS_IT = Sentence("A crew already has this case. Ask a dispatcher to change it.")
NOT_UNDONE = Sentence("We didn't undo this, because something changed in the meantime.")
NEW_DATE_GIVEN = Plural("New date given for %(n)s case", "New date given for %(n)s cases", number="n")
