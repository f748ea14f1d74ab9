"""Staff pages: board, call desk, administration, editor, records."""

from wording import Plural, Sentence

ALL_CASES_NEWEST = Sentence("All cases, newest first")
ASK_WHICH_NUMBER = Sentence("Which %(number)s?")
CASES_IN_TWO_YEARS = Plural("%(num)s case in 2 years", "%(num)s cases in 2 years")
CASES_SINCE = Plural("case since %(year)s", "cases since %(year)s")
COORDINATES = Sentence("Coordinates")
FAILS_AGAIN = Sentence("It fails again and again")
FAR_OUTSIDE = Sentence("Far outside the city: %(num)s")
ADD_TAG = Sentence("Add tag")
AGO = Sentence("%(age)s ago")
ALL_OPEN = Sentence("All open")
ALL_SENT = Sentence("All messages have been sent.")
ANSWER_BY = Sentence("You'll have an answer by %(day)s. How can we reach you?")
AN_ANSWER = Sentence("Answer")
APPROVE_BUTTON = Sentence("Approve")
AREA = Sentence("Area %(n)s")
ASK_FIRST = Sentence("Ask first")
ASSIGN = Sentence("Assign")
ASSIGNED_TO = Sentence("Assigned to %(crew)s.")
ASSIGN_IT_TO = Sentence("You wanted to assign it to %(crew)s.")
AS_LONG_AS_OTHERS = Sentence("as long as other cases")
AT_MOST_CHANGED = Sentence("At most %(most)s cases can be changed at once")
AT_MOST_MERGED = Sentence("At most %(most)s cases can be merged at once")
A_PROBLEM = Sentence("Problem")
A_TRANSFER = Sentence("Transfer")
BELONGS_TO = Sentence("Belongs to %(name)s")
CALL_ANSWERED = Sentence("Saved. Call answered.")
CALL_DRAFT_RESTORED = Sentence("We restored your earlier draft.")
CALL_DROPPED = Sentence("Saved. Call dropped.")
CALL_NOT_SAVED = Sentence(
    "We couldn't reach the city. Nothing is lost: your draft is saved here. Try saving again in a moment.",
)
CANNOT_BE_DONE = Sentence("This can't be done anymore.")
CANNOT_UNDO = Sentence("You can't undo this")
CASE_CHANGED = Sentence("This case has changed. Show the latest")
CASE_CLOSED = Sentence("Case closed. We'll let everyone who asked for updates know.")
CASE_WENT_WRONG = Sentence("%(number)s: something went wrong. Open the case and try again")
CHOOSE_ABOUT = Sentence("Choose what the call was about.")
CHOOSE_ENDING = Sentence("Choose how the call ended.")
CHOOSE_PROBLEM = Sentence("Choose a problem or answer from the list.")
CHOOSE_TRANSFER = Sentence("Choose where you transferred the call.")
CLOSE_CASE = Sentence("Close case")
CLOSE_CASES = Plural("Close %(num)d case as “%(outcome)s”?", "Close %(num)d cases as “%(outcome)s”?")
CLOSE_IT = Sentence("You wanted to close it as “%(outcome)s”.")
CLOSE_MANY = Sentence("Close these cases")
CLOSE_TOO_BUTTON = Sentence("Close %(number)s too")
COVERED = Sentence("Covered permanently. The original photo is gone.")
COVERED_DELETE_LATER = Sentence("Covered. We'll delete the original as soon as photo storage is available.")
DANGER_WAITS = Sentence("Someone could get hurt here. Only a supervisor can put this case on hold.")
DAYS = Plural("%(num)d day", "%(num)d days")
DISMISS_BUTTON = Sentence("Dismiss")
DONE_BY_PHONE_CLOCK = Sentence("Done at %(moment)s (phone clock)")
DO_IT_ANYWAY_BUTTON = Sentence("Do it anyway")
DUE_AT = Sentence("due %(day)s at %(time)s")
DUPLICATES_AGAIN = Sentence("These may be duplicates again.")
EARLIER_HERE = Sentence("Earlier at this address")
EMAIL_UNCONFIRMED = Sentence("Email, not confirmed yet")
EMAIL_UNREACHED = Sentence(
    "Someone asked for updates by email but hasn't confirmed their address, so no email will reach them yet.",
)
FAILED = Sentence("failed")
FIELD_WORK_TITLE = Sentence("Crew updates to review")
FIXED_NO_PHOTO_BECAUSE = Sentence("Fixed, no photo because")
FOLLOW_UP_TO = Sentence("follow-up to %(number)s")
FOREVER = Sentence("forever")
GONE_ASSIGNED = Sentence("assigned to %(crew)s")
GONE_CLOSED = Sentence("closed by %(name)s")
GONE_MERGED = Sentence("merged into %(number)s")
GONE_SINCE = Sentence("No longer in the register since %(day)s.")
HAS_CALLED_BEFORE = Plural("Has called before (%(num)d call)", "Has called before (%(num)d calls)")
HAVE_LOCATION = Sentence("Thank you. I have the location as %(place)s.")
HISTORY = Sentence("History")
HOLD_REASON_LOST = Sentence(
    "Placed again after a restore. The person who asked for it was lost with the database.",
)
IMPORT_NEW = Sentence("New: %(num)s")
IMPORT_REJECTED = Sentence("Rejected: %(num)s")
IMPORT_UNDONE = Sentence("Undone: %(time)s")
IMPORT_UPDATED = Sentence("Updated: %(num)s")
JOBS = Plural("%(num)d job", "%(num)d jobs")
JOINS_REPORTED = Sentence("Someone already reported this. %(stands)s Would you like to know when it's done?")
KEEP_CREW = Sentence("Keep %(crew)s")
KEY_CANT = Sentence("That key can't do anything here")
LEGAL_HOLD = Sentence("Legal hold: nothing in this case can be removed.")
LIFT_HOLD_BUTTON = Sentence("Lift legal hold")
LIKELY_DUPLICATES = Sentence("Likely duplicates")
LIKELY_DUPLICATE_OF = Sentence("Likely duplicate of %(number)s")
LINK_PART_UNKNOWN = Sentence("We didn't recognize part of this link, so we left it out.")
LIST_OUT_OF_DATE = Sentence("This list is out of date. Reload it")
LOCATION_CHANGED = Sentence("Location changed.")
LOOKS_SIMILAR = Sentence("Looks similar, but isn't the same")
LOSES_IT = Sentence("%(crew)s loses it.")
MAP_PACKED = Sentence("map")
MARKED_APART = Sentence("Marked as not duplicates.")
MARKED_REVIEWED = Sentence("Marked as reviewed.")
MARK_DONE_BUTTON = Sentence("Mark as done")
MERGED_HERE = Plural("%(num)d case merged into this one", "%(num)d cases merged into this one")
MERGED_INTO_CASE = Sentence("Merged into %(number)s")
MERGE_CASES = Plural("Merge %(num)d case into %(number)s?", "Merge %(num)d cases into %(number)s?")
MERGE_IT_INTO = Sentence("You wanted to merge it into %(number)s.")
MY_LOCATION = Sentence("My location")
MY_LOCATION_REFUSED = Sentence(
    "We couldn't get your location. Allow it for this page in your browser, then try again."
)
MY_LOCATION_SHOWN = Sentence("Your location is marked. The ring shows how exact it is.")
MY_LOCATION_OUTSIDE = Sentence("Your location is outside this map.")
NEEDS_REVIEW = Sentence("Needs review")
NEW_CASE_HERE = Sentence("New case here")
NEXT_PICKUPS = Sentence("Next pickups")
NOTHING_HERE = Sentence("Nothing here right now.")
NOT_IN_LIST = Plural("%(num)s selected case isn't in this list", "%(num)s selected cases aren't in this list")
NOT_ASSIGNED = Sentence("Not assigned")
NOT_SYNCING = Sentence("Not syncing, unsent work on it")
NOT_UPDATED_SINCE = Sentence("Not updated since %(time)s")
NOW = Sentence("Now")
NO_ADDRESS = Sentence(
    "We found no address “%(words)s”, and no case names it. "
    "Check the spelling, or try a corner of two streets."
)
JUST_A_MOMENT = Sentence("Just a moment…")
CLOSE_AND_TRY = Sentence("Something went wrong. Close this and try again.")
LOG_IN_ON_ANOTHER_TAB = Sentence(
    "You've been logged out. Log in on another tab, then reload this page. Your draft is saved."
)
NO_ANSWER = Sentence("We couldn't reach the city. Try again")
NO_ANSWERS_YET = Sentence(
    "No answers yet. Write the first one, or import a file: cityline import answers FILE",
)
NO_ANSWER_FOUND = Sentence("We couldn't find an answer to that")
NO_CASES_YET = Sentence("No cases yet")
NO_CLEAR_MATCH = Sentence("No line is a clear match")
NO_HOLDS = Sentence(
    "No cases are under a legal hold. To place one, open a case on the board and choose “Legal hold.”",
)
NO_IMPORTS = Sentence("No imports yet.")
NO_JOB_NOW = Sentence("No job right now.")
NO_LONGER_SELECTED = Sentence("%(number)s is no longer selected: %(reason)s")
NO_MATCHES_FOR = Sentence("No matches for “%(words)s”.")
NO_OPEN_CASES = Sentence("No open cases.")
NO_PHONE = Sentence("No phone")
NO_PHONE_INFO = Sentence("No info yet")
NO_PHOTO_BECAUSE = Sentence("No photo because")
NO_PHOTO_REASON = Sentence("No photo: %(reason)s")
NO_SUCH_NUMBER = Sentence("Nothing has the number %(number)s")
OLDER_CASES = Sentence("Older cases")
OTHERS_AVERAGE = Sentence("Others of its kind within %(distance)s average %(usual)s.")
OTHERS_OUTSIDE = Sentence(
    "%(num)s selected. The others in this list are outside the map view or have no location."
)
OFFICE_WORK = Sentence("Office work")
ONE_SELECTED = Sentence("1 selected")
OWNER_UNKNOWN = Sentence("not in the city file, so it's treated as the city's")
PHONES_NOT_SYNCED = Plural(
    "%(num)d phone with unsent work hasn't synced for hours.",
    "%(num)d phones with unsent work haven't synced for hours.",
)
PHONE_CLOCK = Sentence("Phone clock: %(time)s")
PHONE_CLOCK_WRONG = Sentence("The phone's clock is wrong. We counted this as done %(moment)s.")
PHOTOS = Plural("%(num)s photo", "%(num)s photos")
PHOTOS_PACKED = Sentence("%(here)s of %(all)s photos")
POSSIBLE_DUPLICATES = Plural("%(num)d possible duplicate", "%(num)d possible duplicates")
PRINT = Sentence("Print")
PRINT_FIRST = Sentence("Only the first %(most)s cases are here. Narrow your filters to print the others.")
PRIVATE_NOTE = Sentence(
    "Private: only staff and the person who reported it can see the description and photos",
)
PUBLIC_NOW = Sentence("Public now. Anyone can see the description and photos.")
QUESTION_SENT = Sentence("Question sent.")
RECORD_CONTACTS = Sentence("Contact info for updates")
RECORD_IS_PUBLIC = Sentence(
    "This record contains only public information about the case. Descriptions and photos appear only "
    "if the city has made them public.",
)
RECORD_UNCONFIRMED_LEFT_OUT = Plural(
    "One more report has this address, but no one confirmed it. It may belong to someone else, so we "
    "left it out.",
    "%(num)d more reports have this address, but no one confirmed it. They may belong to someone else, "
    "so we left them out.",
)
RECORD_UNCONFIRMED_TOLD = Plural(
    "One report here has this address, but no one confirmed it. It may belong to someone else.",
    "%(num)d reports here have this address, but no one confirmed it. They may belong to someone else.",
)
REFRESH_LIST = Sentence("Refresh the list")
REMOVED_ON = Sentence("Removed under the retention schedule on %(day)s.")
REMOVE_SHARED_VIEW = Sentence("Remove the shared view “%(name)s”")
REOPENED_TIMES = Sentence("Reopened %(n)s times")
REPORTS = Plural("%(num)d report", "%(num)d reports")
REPORT_ERASED = Sentence("Report %(number)s was erased.")
REQUIRED_WITHOUT_REPLY = Sentence("required without a saved reply")
RESEND_ALL_BUTTON = Sentence("Resend all failed messages")
ROWS_OF = Sentence("%(first)s–%(last)s of %(num)s")
ROWS_OF_OVER = Sentence("%(first)s–%(last)s of over %(num)s")
SAME_PHOTO_SENT = Plural(
    "The same photo was sent %(num)d more time. It will be covered there too.",
    "The same photo was sent %(num)d more times. It will be covered there too.",
)
SELECTED = Sentence("%(num)s selected")
SELECTED_CASES = Sentence("Selected cases")
SEPARATE_AGAIN = Sentence("%(number)s is a separate case again.")
SHOWING = Sentence("Showing %(shown)d (%(hidden)d more not shown)")
SHOW_NEW = Sentence("Show %(num)s added to this list")
SHOW_ONE_NEW = Sentence("Show 1 added to this list")
SIMILAR_NEARBY = Sentence("Similar reports nearby")
SINCE = Sentence("since %(moment)s")
SPLIT_FROM = Sentence("split from %(number)s")
TAG = Sentence("Tag")
TAKE_CARE_BY = Sentence("We'll take care of it by %(day)s. Would you like to know when it's done?")
TIMES_PER_HOUR = Plural("%(times)s time per hour", "%(times)s times per hour", number="times")
TRANSFER_NUMBER = Sentence("In case we get cut off, the number is %(number)s.")
TRY_ANSWER_FIRST = Sentence("Try the answer first")
TYPE_CHANGED = Sentence("Type of problem changed.")
UNASSIGNED_VIEW = Sentence("Unassigned")
UNDER_HOLD_OF = Sentence("Under the legal hold on %(number)s, which this case is merged into.")
UNDER_LEGAL_HOLD = Sentence("Under legal hold")
UPDATES = Plural("%(num)s update", "%(num)s updates")
VERSION = Sentence("Version %(number)d")
VIEWING = Sentence("%(name)s is viewing this too")
VIEW_CHANGED = Plural(
    "This view now has %(num)d case, which isn't the number you saw.",
    "This view now has %(num)d cases, which isn't the number you saw.",
)
WANTED_TO_RELOCATE = Sentence("You wanted to change its location.")
WANTS_CALL = Sentence("Wants a call: %(number)s")
WANTS_TEXT = Sentence("Wants a text: %(number)s")
WANTS_UPDATES = Sentence("wants updates")
WAS_DUE = Sentence("Was due %(day)s")
WAS_TO_NOW = Sentence("%(was)s to %(now)s")
WENT_WRONG = Sentence("Something went wrong. Reload the page")
WHAT_SOMEONE_CHANGED = Sentence("What someone else changed")
WHEN_YOU_OPENED_IT = Sentence("When you opened it")
WHICH_CREW = Sentence("Which crew should go?")
YEARS = Plural("%(num)d year", "%(num)d years")
YES_GO_AHEAD = Sentence("Yes, go ahead")
YOU_LOOKED_FOR = Sentence("You looked for “%(words)s”.")
YOU_WROTE = Sentence("You wrote: “%(words)s”")
ALERTED = Plural("Alerted %(num)d person on duty", "Alerted %(num)d people on duty")
BAD_DUTY_TIME = Sentence("Enter a time like 6:00 pm, within the next 24 hours.")
CHANGE_TIME_BUTTON = Sentence("Change the time")
CONFIRM_DUTY_TEXTS = Sentence("City staff: confirm texts about danger while you're on duty")
DANGER_ALERT = Sentence("Danger: %(what)s (%(number)s)")
GO_ON_DUTY_BUTTON = Sentence("Go on duty")
GO_ON_DUTY_UNTIL = Sentence("Go on duty until %(time)s")
GO_OFF_DUTY_BUTTON = Sentence("Go off duty now")
NOBODY_ON_DUTY = Plural(
    "No one is on duty: %(num)d dangerous case is waiting.",
    "No one is on duty: %(num)d dangerous cases are waiting.",
)
NOBODY_REACHED = Plural(
    "No one on duty can be alerted: %(num)d dangerous case is waiting.",
    "No one on duty can be alerted: %(num)d dangerous cases are waiting.",
)
NO_WAY_TO_ALERT = Sentence(
    "We have no way to alert you yet. Turn on notifications or add a cell phone number below.",
)
ON_DUTY_UNTIL = Sentence("On duty until %(time)s")
TEXT_ALERTS_BUTTON = Sentence("Text me alerts")
TEXT_SENT_TO_CONFIRM = Sentence("We sent a text to this number. Tap its link to confirm.")
TEXTS_WHILE_ON_DUTY = Sentence("Gets a text while you're on duty.")
UNACCEPTED_SINCE = Sentence("No one has accepted it since %(moment)s.")
CREW_PROPOSES = Sentence("A crew says the type or location is wrong. Decide whether to change it.")
CHANGE_TYPE_TO = Sentence("Change type to %(type)s")
MOVE_IT_HERE = Sentence("Move it here")
LEAVE_AS_IT_IS = Sentence("Leave it as it is")
BACK_TO_CALL = Sentence("Back to the call")
CHANGE_CASES_TO = Plural("Change %(num)d case to %(type)s?", "Change %(num)d cases to %(type)s?")
CHANGE_LOCATION = Sentence("Change location")
CHANGE_TYPE = Sentence("Change type")
LOSE_CREW = Plural("%(num)d loses its crew.", "%(num)d lose their crew.")
MOVE_CASES_TO = Plural("Move %(num)d case to %(place)s?", "Move %(num)d cases to %(place)s?")
MISFITS = Plural(
    "%(num)d can't be of that type and stays as it is.", "%(num)d can't be of that type and stay as they are."
)
NOW_PRIVATE = Plural("%(num)d becomes private.", "%(num)d become private.")
NEW_DATE_FOR = Plural("Give %(num)d case a new date?", "Give %(num)d cases a new date?")
