"""Answers when something is due next, by APScheduler and croniter. Standard input has a JSON list of questions, standard
output gets a list of answers: seconds since 1970, or a text that says why there is none."""

import json
import signal
import sys
import warnings
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from croniter import croniter

warnings.simplefilter("ignore")

# How long an answer may take, in seconds: usual ones take a thousandth of that.
PATIENCE = 0.5


def trigger(form, zone):
    """An APScheduler trigger."""
    (kind,) = form.keys() - {"start", "end"}
    value = form[kind]
    of_day = lambda key: date.fromisoformat(form[key]) if key in form else None
    instant = lambda key: datetime.fromtimestamp(form[key], zone) if key in form else None
    if kind == "fields":
        return CronTrigger(timezone=zone, start_date=instant("start"), end_date=instant("end"), **value)
    if kind == "crontab":
        return CronTrigger.from_crontab(value, timezone=zone)
    if kind == "interval":
        return IntervalTrigger(
            seconds=value, start_date=instant("start"), end_date=instant("end"), timezone=zone
        )
    if kind == "calendar":
        return CalendarIntervalTrigger(start_date=of_day("start"), end_date=of_day("end"), timezone=zone, **value)
    if kind == "at":
        return DateTrigger(datetime.fromtimestamp(value, zone), timezone=zone)
    parts = [trigger(part, zone) for part in value]
    return AndTrigger(parts) if kind == "all" else OrTrigger(parts)


def by_apscheduler(question):
    zone = ZoneInfo(question["zone"])
    asked = trigger(question["apscheduler"], zone)
    after = datetime.fromtimestamp(question["after"], zone)
    # These go on from what was due before; the others answer for any instant, if they are told of nothing before.
    stepwise = {"interval", "calendar", "at"} & question["apscheduler"].keys()
    found, previous = [], None
    # It tells what is due at an instant or later.
    now = after + timedelta(seconds=1)
    while len(found) < question["count"] and question["until"] not in found:
        # With a time before, an AndTrigger asks its cron triggers the same again and again, and never answers.
        following = asked.get_next_fire_time(previous if stepwise else None, now)
        if following is None:
            break
        at = int(following.timestamp())
        if at > question["until"]:
            break
        found.append(at)
        previous, now = following, datetime.fromtimestamp(at + 1, zone)
    return found


def by_croniter(question):
    zone = ZoneInfo(question["zone"])
    after = datetime.fromtimestamp(question["after"], zone)
    asked = croniter(
        question["croniter"],
        after,
        ret_type=datetime,
        second_at_beginning=True,
        implement_cron_bug=question.get("vixie", True),
        max_years_between_matches=50,
    )
    found = []
    while len(found) < question["count"]:
        at = int(asked.get_next(datetime).astimezone(timezone.utc).timestamp())
        if at > question["until"]:
            break
        found.append(at)
    return found


def give_up(*_):
    raise TimeoutError(f"no answer within {PATIENCE} s")


def answer(question):
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        return by_croniter(question) if "croniter" in question else by_apscheduler(question)
    except Exception as error:  # What they can't do is an answer.
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


signal.signal(signal.SIGALRM, give_up)
json.dump([answer(question) for question in json.load(sys.stdin)], sys.stdout)
