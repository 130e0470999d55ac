"""Cron expressions and schedules by walking over every minute: slow, and nothing here is shared with the SQL."""
import datetime
import itertools
import re
import zoneinfo

UTC = datetime.timezone.utc
MINUTE, DAY = datetime.timedelta(minutes=1), datetime.timedelta(days=1)
MONTHS = {n: i for i, n in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
WEEK_DAYS = {n: i for i, n in enumerate("sun mon tue wed thu fri sat".split())}


def field(text, least, most, names=None):
    names, found = names or {}, set()

    def number(word):
        return names[word.lower()] if word.lower() in names else int(word)
    for part in text.split(","):
        whole, _, step = part.partition("/")
        if whole == "*":
            low, high = least, most
        else:
            low, dash, high = whole.partition("-")
            assert dash or not step
            low, high = number(low), number(high or low)
        assert least <= low <= high <= most and int(step or 1) > 0
        found.update(range(low, high + 1, int(step or 1)))
    return found


class Cron:
    def __init__(self, text):
        minutes, hours, days, months, week_days = re.split(" +", text.strip())
        self.minutes, self.hours, self.months = field(minutes, 0, 59), field(hours, 0, 23), field(months, 1, 12, MONTHS)
        self.days, self.week_days = field(days, 1, 31), {d % 7 for d in field(week_days, 0, 7, WEEK_DAYS)}
        self.is_either = days[0] != "*" and week_days[0] != "*"

    def has(self, date):
        by_month, by_week = date.day in self.days, date.isoweekday() % 7 in self.week_days
        return date.month in self.months and (by_month or by_week if self.is_either else by_month and by_week)

    def instants(self, zone, first, last):
        """From first to last: of a local minute that comes twice the first, of one that does not come what an unchanged clock would say."""
        date, found = (first - 2 * DAY).date(), set()
        while date <= (last + 2 * DAY).date():
            for hour, minute in itertools.product(range(24), range(60)) if self.has(date) else ():
                if hour in self.hours and minute in self.minutes:
                    local = datetime.datetime.combine(date, datetime.time(hour, minute))
                    found.add(local.replace(tzinfo=zone, fold=0).astimezone(UTC))
            date += DAY
        return sorted(i for i in found if first <= i <= last)


def periods(opens, closes, zone, first, last):
    """[(start, end)] of the periods after the first closing: what opens while open is ignored, and what closes does so first."""
    zone, found, began, has_closed = zoneinfo.ZoneInfo(zone), [], None, False
    events = [(i, 0) for i in Cron(closes).instants(zone, first, last)] + [(i, 1) for i in Cron(opens).instants(zone, first, last)]
    for instant, events_then in itertools.groupby(sorted(events), key=lambda e: e[0]):
        for _, is_opening in events_then:
            if is_opening and began is None and has_closed:
                began = instant
            elif not is_opening:
                if began is not None and began < instant:
                    found.append((began, instant))
                    began = None
                has_closed = True
    return found
