//! The interval, as the CRD's rule admits it.

use std::time::Duration;

/// A day.
pub(super) const A_DAY: Duration = Duration::from_secs(86_400);

pub(super) fn default() -> String {
    "24h".to_owned()
}

/// Hours, minutes and seconds, in this order. `None` of what the CRD refuses.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let digits = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
            seconds += number.parse::<u64>().ok().filter(|_| digits)? * factor;
            rest = after;
        }
    }
    let time = Duration::from_secs(seconds);
    (rest.is_empty() && (300..=8760 * 3600).contains(&seconds)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_minutes_and_seconds_in_this_order() {
        for (text, seconds) in [
            ("24h", 86_400),
            ("5m", 300),
            ("1h30m", 5400),
            ("0h6m1s", 361),
            ("300s", 300),
            ("8760h", 8760 * 3600),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "", "4m59s", "8760h1s", "1d", "30m1h", "h", "12345h", "1.5h", "-5m", "5", "1h 5m", "5ms",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
