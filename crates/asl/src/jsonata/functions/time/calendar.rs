//! The Gregorian calendar, without leap seconds, as far back and ahead as wanted.

pub const DAY_MS: i64 = 86_400_000;

/// A time, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    millis: i64,
    pub year: i64,
    /// From 1.
    pub month: i64,
    pub day: i64,
}

impl Moment {
    pub fn from_millis(millis: i64) -> Moment {
        let (year, month, day) = civil(millis.div_euclid(DAY_MS));
        Moment { millis, year, month, day }
    }

    /// What a component of a picture says, as a number.
    pub fn component(&self, component: char) -> i64 {
        let in_day = self.millis.rem_euclid(DAY_MS);
        match component {
            'Y' => self.year,
            'M' => self.month,
            'D' => self.day,
            'd' => self.today() - days(self.year, 1, 1) + 1,
            'F' => weekday(self.today()),
            'W' => self.week(Period { year: self.year, month: 1, months: 12 }, 52),
            'w' => self.week(Period { year: self.year, month: self.month, months: 1 }, 4),
            'X' => self.period_of_week(Period { year: self.year, month: 1, months: 12 }).year,
            'x' => self.period_of_week(Period { year: self.year, month: self.month, months: 1 }).month,
            'H' => in_day / 3_600_000,
            'h' => match in_day / 3_600_000 % 12 {
                0 => 12,
                hour => hour,
            },
            'P' => i64::from(in_day >= DAY_MS / 2),
            'm' => in_day / 60_000 % 60,
            's' => in_day / 1000 % 60,
            'f' => in_day % 1000,
            _ => 0,
        }
    }

    fn today(&self) -> i64 {
        self.millis.div_euclid(DAY_MS)
    }

    /// The week of the year or month, of which there are `most` that lie in it for certain.
    fn week(&self, period: Period, most: i64) -> i64 {
        let number = |period: Period| (self.today() - period.first_week()).div_euclid(7) + 1;
        match number(period) {
            week if week > most && self.today() >= period.next().first_week() => 1,
            week if week < 1 => number(period.previous()),
            week => week,
        }
    }

    /// The year or month to which the week belongs.
    fn period_of_week(&self, period: Period) -> Period {
        match self.today() {
            today if today < period.first_week() => period.previous(),
            today if today >= period.next().first_week() => period.next(),
            _ => period,
        }
    }
}

/// A year or a month.
#[derive(Clone, Copy)]
struct Period {
    year: i64,
    month: i64,
    months: i64,
}

impl Period {
    /// The Monday of the week that holds its first Thursday.
    fn first_week(self) -> i64 {
        let first = days(self.year, self.month, 1);
        match weekday(first) {
            weekday if weekday > 4 => first + 8 - weekday,
            weekday => first - (weekday - 1),
        }
    }

    fn next(self) -> Period {
        match self.month + self.months {
            month if month > 12 => Period { year: self.year + 1, month: 1, ..self },
            month => Period { month, ..self },
        }
    }

    fn previous(self) -> Period {
        match self.month - self.months {
            month if month < 1 => Period { year: self.year - 1, month: 13 - self.months, ..self },
            month => Period { month, ..self },
        }
    }
}

/// From Monday, 1.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7) + 1
}

/// Days since 1970-01-01 of a date; the month may lie beyond the year.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    // Years from March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_inverse() {
        for day in (-800_000..800_000).step_by(97) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        let week = |year, month, day| {
            let moment = Moment::from_millis(days(year, month, day) * DAY_MS);
            (moment.component('X'), moment.component('W'), moment.component('F'))
        };
        assert_eq!(week(2018, 12, 31), (2019, 1, 1));
        assert_eq!(week(2021, 1, 3), (2020, 53, 7));
        assert_eq!(week(2024, 2, 29), (2024, 9, 4));
    }
}
