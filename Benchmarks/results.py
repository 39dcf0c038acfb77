"""What was measured, and why something was not."""

import statistics


class Results:
    """Values by part, case, who, and metric; a value for each round."""

    def __init__(self):
        self.values = {}  # part -> case -> who -> metric -> values
        self.reasons = {}  # (part, case, who) -> why there is no value, or why there are fewer
        self.order = {}  # part -> its cases, as they were tried
        self.verified = []  # what was compared with the guest's memory

    @classmethod
    def of(cls, kept):
        """What `json` gave."""
        results = cls()
        results.order = {part: dict.fromkeys(cases) for part, cases in kept["order"].items()}
        for part, cases in kept["measured"].items():
            for case, rows in cases.items():
                for who, row in rows.items():
                    values = {metric: list(each["values"]) for metric, each in row.items()}
                    results.values.setdefault(part, {}).setdefault(case, {})[who] = values
        for row in kept["not measured"]:
            results.fail(row["part"], row["case"], row["who"], row["reason"])
        results.verified = list(kept["verified"])
        return results

    def add(self, part, case, who, **metrics):
        self.order.setdefault(part, {})[case] = None
        row = self.values.setdefault(part, {}).setdefault(case, {}).setdefault(who, {})
        for metric, value in metrics.items():
            row.setdefault(metric, []).append(value)

    def fail(self, part, case, who, reason):
        self.order.setdefault(part, {})[case] = None
        self.reasons[part, case, who] = " ".join(str(reason).split())

    def all(self, part, case, who, metric):
        return self.values.get(part, {}).get(case, {}).get(who, {}).get(metric, [])

    def median(self, part, case, who, metric="seconds"):
        """None where nothing was measured."""
        values = self.all(part, case, who, metric)
        return statistics.median(values) if values else None

    def cases(self, part):
        """The part's cases in the order in which they were tried."""
        return list(self.order.get(part, {}))

    def ratio(self, part, case, metric="seconds", one="QEMU", other="Berth"):
        """How many times as much `one` takes as `other`."""
        first = self.median(part, case, one, metric)
        second = self.median(part, case, other, metric)
        return first / second if first is not None and second else None

    def json(self):
        return {
            "order": {part: list(cases) for part, cases in self.order.items()},
            "measured": {
                part: {
                    case: {
                        who: {metric: summary(values) for metric, values in row.items()}
                        for who, row in rows.items()
                    }
                    for case, rows in cases.items()
                }
                for part, cases in self.values.items()
            },
            "not measured": [
                {"part": part, "case": case, "who": who, "reason": reason}
                for (part, case, who), reason in self.reasons.items()
            ],
            "verified": self.verified,
        }


def summary(values):
    return {
        "median": statistics.median(values), "min": min(values), "max": max(values),
        "values": values,
    }
