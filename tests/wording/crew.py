"""The crew app."""

from wording import Plural, Sentence

ALL_SENT = Sentence("All sent")
ANOTHER_TYPE = Sentence("Another type: %(type)s")
CASE_CANCELED = Sentence("The case was canceled. Your work is saved, and a dispatcher will review it.")
CHOOSE_OUTCOME = Sentence("Choose how it ended")
CHOOSE_WAIT_REASON = Sentence("Choose what it's waiting for")
DRAFT_NOT_KEPT = Sentence(
    "This phone couldn't save your draft. If you close this page before saving, you'll lose it.",
)
IS_CASE = Sentence("This is case %(number)s. A dispatcher will decide who fixes it.")
LOCATION_NOT_EXACT = Sentence("Your location isn't exact. Enter the address too.")
MAP_MISSING = Sentence("no map yet")
MAP_READY = Sentence("map ready")
NEW_PROBLEM_REPORTED = Sentence("New problem reported")
NOT_KEPT = Sentence("This phone couldn't save it. Free up some space, then save again.")
NOT_SENT_YET = Sentence("%(what)s, not sent yet")
NO_FIX = Sentence("We can't get your location. Check that this phone may share it.")
NO_JOBS_ON_PHONE = Sentence("No jobs on this phone")
NO_PHOTO_YET = Sentence("no photo yet")
OFFLINE = Sentence("Offline")
OUTBOX = Sentence("Outbox")
OWN_PLACE = Sentence("Where you reported it")
PROPOSAL_TAKEN = Sentence("A dispatcher changed it.")
TAP_MY_LOCATION = Sentence("Tap “Use my location” where the problem is.")
PHOTOS = Plural("%(count)s photo", "%(count)s photos", number="count")
PHOTO_GONE = Sentence("The photo is no longer on this phone. Call a dispatcher.")
PHOTO_NOT_KEPT = Sentence(
    "This phone couldn't save the photo. Free up some space and take it again, or save without it.",
)
PHOTO_UNREADABLE = Sentence("We can't read this photo. Take it again.")
PLACE_MISSING = Sentence("Add a location: use your current location or enter an address.")
RECEIVED_AS_CASE = Sentence("Received %(time)s as case %(number)s.")
SAVING_PHOTO = Sentence("Saving the photo on this phone…")
STARTED = Sentence("Started")
STORAGE_NOT_GUARANTEED = Sentence(
    "Your browser won't guarantee it yet. It may once the app is on your home screen and you've used "
    "it for a while.",
)
TOO_LATE_TO_UNDO = Sentence("It's too late to undo this. Tell a dispatcher.")
TO_SEND = Sentence("%(count)s to send")
UNFINISHED_REPORT = Sentence("Unfinished report")
WHERE_STARTED = Sentence("Where you started this report")
