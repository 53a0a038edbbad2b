//! Points in time as Step Functions writes them: `2024-01-15T08:30:00.250Z`.

/// Milliseconds since 1970 of a time in UTC, with or without a fraction of a second.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, clock) = text.split_once('T')?;
    let day = parse_date(date)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':').map(|p| digits(p, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(((day * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis)
}

/// A time in UTC with three digits of fraction, so that texts sort as times do.
pub fn format(millis: i64) -> String {
    let (day, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(day);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, millis) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Days since 1970 of a `YYYY-MM-DD` that is in the calendar.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    (civil(days) == (year, month, day)).then_some(days)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Counts years from March, so that the leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
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
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for text in ["1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2000-12-31T12:00:00.001Z"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("2024-01-15T08:30:00Z"), parse("2024-01-15T08:30:00.000Z"));
        assert_eq!(parse("2024-01-15T08:30:00.25Z"), parse("2024-01-15T08:30:00.250Z"));
        assert_eq!(parse("2024-01-15T08:30:00.123456Z"), parse("2024-01-15T08:30:00.123Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "2024-01-15", "2024-01-15T24:00:00Z", "2024-01-15T08:30Z", "2024-13-01T00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert!(parse_date("2024-02-29").is_some());
        for text in ["2023-02-29", "2024-00-10", "2024-1-15", "2024-01-32", "24-01-15", "2024-01-15-1", "2024/01/15"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
