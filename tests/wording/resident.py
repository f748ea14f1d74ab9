"""Resident pages: report, case, updates, answers, figures, log-in."""

from wording import Plural, Sentence

ADDED_TO_REPORT = Sentence("Sent. We added you to this report.")
ADDRESS_BOX = Sentence("Address, corner, or pole number")
ANSWER_BY = Sentence("We'll answer you by %(day)s.")
ASK_MONDAYS = Sentence("Send updates to %(email)s on Mondays when there's something new?")
ASK_MORNINGS = Sentence("Send updates to %(email)s in the morning when there's something new?")
ASSUMPTION_NOT_VALID = Sentence("One of the numbers isn't valid. Fix it below to see the result.")
BACK_TO = Sentence("Back to %(number)s")
BELONGS_TO_OWNER = Sentence("This belongs to %(name)s, not the city.")
CALLED_SEND_TOO = Sentence("I've called. Send a report too.")
CANCELED_TITLE = Sentence("This report was canceled.")
CANCEL_REPORT_BUTTON = Sentence("Cancel report")
CELL_PHONE = Sentence("Your cell phone number")
CHOOSE_ON_MAP = Sentence("Choose on the map")
CHOSEN_ON_MAP = Sentence("You chose it on the map")
COMBINED_WITH_ANOTHER = Sentence(
    "Your report %(number)s was about the same problem, so we combined them here.",
)
CONFIRMED_MONDAYS = Sentence(
    "You're all set. We'll send updates to %(email)s on Mondays when there's something new.",
)
CONFIRMED_MORNINGS = Sentence(
    "You're all set. We'll send updates to %(email)s in the morning when there's something new.",
)
CONFIRM_UPDATES_BUTTON = Sentence("Yes, send me updates")
CONTINUE_WITH_PHOTO = Sentence("Continue with this photo")
COST_UNKNOWN = Sentence("We don't have the cost of the call center for this period.")
CREW_FINISHED = Sentence("Crew finished: %(moment)s")
DETAILS_REMOVED = Sentence(
    "The details of this report were removed on %(day)s under the city's retention schedule. Its type, "
    "dates, and outcome are kept.",
)
EMAIL_ME_BUTTON = Sentence("Email me")
FEED_TITLE = Sentence("Open reports in %(city)s")
FIGURE_HIDDEN = Sentence("hidden")
FIRST_DAY_NOT_OVER = Sentence("The first day isn't over yet.")
FIRST_FILES_COMING = Sentence("The first files are on their way. Check back in a few minutes.")
FIRST_REPORT_SENT = Sentence("Your first report was sent: %(number)s. Press Send to send this one too.")
FIRST_SAID = Sentence("We first said %(day)s. We added the time it was on hold or closed.")
FIXED_TITLE = Sentence("It's fixed.")
FIX_AND_PHOTO_BY = Sentence("We'll fix it and post a photo by %(day)s")
FIX_BY = Sentence("We'll fix it by %(day)s.")
FOLLOWING_NOTHING = Sentence("You aren't following anything with this address.")
FRIDAYS = Sentence("Fridays")
FROM_PHOTO = Sentence("From your photo")
GO_TO_REPORT = Sentence("Go to report %(number)s")
HOLIDAY_ON = Sentence("the holiday on %(day)s")
HOME_TITLE = Sentence("What needs fixing?")
HOUSE_NOT_ON_MAP = Sentence("This house isn't on our map. Our point may be off by %(distance)s.")
KEPT_TITLE = Sentence("Saved on this phone. We'll send it when you're back online.")
LARGE_PLACE = Sentence("That's a large place. Add a house number or corner to help us find it.")
LAST_CHECKED = Sentence("Last checked: %(day)s.")
NOT_FIXED = Sentence("Not fixed")
LAST_SEEN = Sentence("No signal right now. Your reports as of %(when)s:")
LINK_TOO_LONG = Sentence("That link is too long")
LISTED_OF = Sentence("%(first)s–%(last)s of %(num)s, newest first")
LOCATION_OFF_BY = Sentence("Your location may be off by %(distance)s.")
LOCATION_SAVED = Sentence(
    "Your location is saved with this report. We'll look up the address when you have a signal."
)
MATCHING_PLACES = Sentence("Matching places: %(num)s")
MISSING_BUTTON = Sentence("Let the city know this is missing")
MONDAYS_ONLY = Sentence("Mondays only")
MORE_THAN_A_YEAR_EARLIER = Sentence("Up %(percent)d%% from a year earlier.")
MOVE_WITH_BUTTONS = Sentence("Move the map with buttons")
MY_REPORTS = Sentence("My reports")
NEAREST_ADDRESS = Sentence("Nearest address: %(address)s")
NEIGHBORS_JOINED = Plural("1 neighbor joined", "%(num)d neighbors joined")
NEW_QUESTION_OPENED = Sentence(
    "Thank you. We answered this a while ago, so we opened a new report with its own date.",
)
NEXT_PICKUP = Sentence("The next pickup is %(when)s.")
NEXT_PICKUP_HOLIDAY = Sentence("Because of %(holiday)s, the next pickup is %(when)s instead of %(usual)s.")
NONE_OF_THESE = Sentence("None of these")
NOTHING_TO_CONFIRM = Sentence("This report isn't closed, so there's nothing to confirm.")
NOTIFICATIONS_BLOCKED = Sentence(
    "Your browser is blocking notifications from this page. You can change that in its settings, or "
    "leave your email address.",
)
NOTIFICATIONS_OFF = Sentence("Notifications are off.")
NOTIFICATIONS_ON = Sentence("You're all set. You'll get notifications on this device.")
NOTIFY_ME = Sentence("Notify me on this device")
NOT_A_WHOLE_NUMBER = Sentence("“%(typed)s” isn't a whole number from %(low)s to %(high)s.")
NOT_IN_YOUR_LANGUAGE = Sentence("This answer isn't in your language yet. Call %(number)s and we'll help you.")
NOT_LOCATED = Sentence("We couldn't get your location. Enter an address, corner, or pole number.")
NO_CASES_IN_PERIOD = Sentence("No cases opened or closed in this period")
NO_CONTACTS = Sentence("No contacts in this period")
NO_NOT_FIXED_BUTTON = Sentence("No, it's not fixed")
NO_PHOTO_DARK = Sentence("No photo: it was too dark.")
NO_PICKUP_HERE = Sentence("The city doesn't pick up trash here, or we don't have the pickup day.")
NOTHING_REPORTED_HERE = Sentence("Nothing has been reported here yet.")
NO_REPORTS_HERE = Sentence("No reports on this device yet")
NO_ROOM_FOR_PHOTO = Sentence(
    "There's no room on this phone for a photo. Free up some space and press Send again, or remove the "
    "photo.",
)
NO_ROOM_FOR_PHOTOS = Sentence(
    "We can't take more photos right now. Send your report without them, or try again in an hour.",
)
ONE_OF_THESE = Sentence("Is it one of these?")
ONE_WAITING = Sentence("1 report waiting to send")
ONLY_PHOTOS = Sentence(
    "You can only add photos. Anything else you shared is still in the app you shared it from.",
)
OPENS_NEW_REPORT = Sentence("It's been a while, so we'll open a new report.")
OPEN_AGAIN_ALREADY = Sentence("This report is already open again. We'll add your comment to it.")
PAGE_OPEN_A_WHILE = Sentence("This page was open for a while. Check it, then press Send again.")
PART_DAMAGED = Sentence("%(size)s. Part of the photo was damaged, so we left that part out.")
PERFORMANCE_TITLE = Sentence("How we're doing")
PER_CONTACT = Sentence("per contact: %(money)s in all.")
PHOTOS_GONE = Sentence("Your photos are gone. Add them again.")
PHOTOS_LIMIT = Sentence(
    "You can add up to %(most)s photos. The others are still in the app you shared them from.",
)
PHOTO_NOT_ADDED = Sentence("We couldn't add photo %(name)s.")
PHOTO_NOT_UPLOADED = Sentence("Not uploaded yet. It will go when you press Send.")
PHOTO_OFF_BY = Sentence("The photo's location may be off by %(distance)s.")
PHOTO_OLD = Sentence("Your photo was taken more than 30 minutes ago.")
PHOTO_PLACE = Sentence("Where the photo was taken")
PHOTO_SAYS_NO_PLACE = Sentence(
    "Your photo doesn't say where it was taken. Enter an address, corner, or pole number."
)
PHOTO_TAKEN_ELSEWHERE = Sentence("Your photo was taken somewhere else.")
PHOTO_TOO_LARGE = Sentence(
    "One photo is larger than 20 MB, so we didn't add it. It's still in the app you shared it from.",
)
PHOTO_UPLOADING = Sentence("Uploading…")
PICKUP = Sentence("%(what)s pickup is on %(days)s.")
PICKUP_AT = Sentence("At %(place)s, %(what)s pickup is on %(days)s.")
PICKUP_EVERY_OTHER_WEEK = Sentence("%(what)s pickup is every other week, on %(days)s.")
PICKUP_ON = Sentence("on %(day)s")
PICKUP_TODAY = Sentence("today, %(day)s")
PICKUP_TOMORROW = Sentence("tomorrow, %(day)s")
PLACE_OUTSIDE = Sentence("This place is outside %(city)s.")
PREVIEW_LATER = Sentence("Preview after upload")
PRIVATE_HAULER = Sentence(
    "Large buildings and stores often use a private hauler. Call %(number)s and we'll look it up.",
)
PUBLISHED_VERSION = Sentence("version %(number)d, %(day)s")
QUESTION_REOPENED = Sentence("Thank you. We reopened your question, and someone will get back to you.")
RECENT_REPORTS = Sentence("Recent reports")
RECYCLING = Sentence("recycling")
MOVED_BY_HOLIDAY = Sentence("Moved because of a holiday")
NO_REPORTS_FIT = Sentence("No reports fit “%(words)s”")
SEND_BACK_UNTIL = Sentence("If it isn't, we send it back until %(day)s.")
REOPEN_UNTIL = Sentence("You can reopen it with one tap until %(day)s.")
REPORT_REOPENED = Sentence("Thank you. We reopened your report, and a crew will come back.")
RIGHT = Sentence("Right")
RIGHT_SPOT = Sentence("Is this the right spot?")
SAID_ANSWERED = Sentence("You said it's answered")
SAID_FIXED = Sentence("You said it's fixed")
SAID_NOT_ANSWERED = Sentence("You said it isn't answered")
SAID_NOT_FIXED = Sentence("You said it isn't fixed")
SAME_PROBLEM_BUTTON = Sentence("Same problem, add me")
SENDING_PHOTO = Sentence("Sending the photo…")
SENT_REPORTS_LATER = Sentence(
    "No signal right now. The reports you sent will show up here when you're back online."
)
SOURCE_AREAS = Sentence("areas layer")
SOURCE_CITY_FILE = Sentence("city file")
SOURCE_EVERY_CHANGE = Sentence("every status change")
STOP_EMAILS_BUTTON = Sentence("Stop these emails")
STOP_NOTIFICATIONS = Sentence("Turn off notifications on this device")
STOP_TEXTS_BUTTON = Sentence("Stop these texts")
TEXT_ME_BUTTON = Sentence("Text me updates")
THANKS_ANSWERED = Sentence("Thanks for letting us know it's answered.")
THANKS_FIXED = Sentence("Thanks for letting us know it's fixed.")
THANKS_NOT_HELPFUL = Sentence("Thanks. We'll ask the department to review this answer.")
THANKS_UNANSWERED = Sentence("Thanks. We review questions we couldn't answer.")
THURSDAYS = Sentence("Thursdays")
TOO_MANY_PHOTOS = Sentence(
    "We're getting a lot of photos right now, so yours isn't added yet. Send it again.",
)
TOP_TOPIC = Sentence("Most common topic: %(topic)s, %(share)s of all contacts.")
TRASH = Sentence("trash")
UNKNOWN_TYPE = Sentence("We don't have a type of problem called “%(code)s.” See all reports for every type.")
TREE_BY = Sentence("Tree by %(address)s")
UPLOADED = Sentence("Uploaded, %(size)s KB")
URGENT_NOT_SENT = Sentence("Urgent and not sent yet. You wrote it %(age)s.")
URGENT_WAITING = Sentence("Urgent, not sent yet. Call %(number)s.")
USE_SPOT = Sentence("Use this spot")
VALUE_TITLE = Sentence("What the call center is worth")
WHERE_I_AM = Sentence("Where I am now")
WHERE_PROBLEM = Sentence("Where is the problem?")
WHICH_POLE = Sentence("Which pole is it?")
WITHIN_FROM_PHONE = Sentence("Within %(distance)s, from your phone's location")
WRONG_STATE = Sentence("This report is %(state)s now, so you can't do that.")
YARD_WASTE = Sentence("yard waste")
YES_FIXED_BUTTON = Sentence("Yes, it's fixed")
YES_THIS_SPOT = Sentence("Yes, this is the spot")
YOUR_PHOTO = Sentence("Your photo")
YOU_REPORTED = Sentence("You reported it")
HAVE_THIS_TOO = Sentence("I have this too")
IS_IT_FIXED = Sentence("Is it fixed?")
NEAR_YOU = Sentence("Near you")
IS_IT_ANSWERED = Sentence("Is your question answered?")
