//! "Did you mean": the closest of the names that would be right.

/// `did you mean 'X'?`, if some candidate is close enough to be what was meant.
pub(super) fn did_you_mean<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    const CHARS_MAX: usize = 80;
    let written: Vec<char> = written.chars().collect();
    if written.len() > CHARS_MAX {
        return None;
    }
    let allowed = (1 + written.len() / 4).min(written.len().saturating_sub(1));
    let close = candidates.into_iter().filter_map(|candidate| {
        let chars: Vec<char> = candidate.chars().take(CHARS_MAX + 1).collect();
        if chars.len().abs_diff(written.len()) > allowed {
            return None;
        }
        let distance = distance(&written, &chars);
        (distance <= allowed).then_some((distance, candidate))
    });
    close.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| format!("did you mean '{candidate}'?"))
}

/// Edits from one to the other; a change of case costs nothing, swapped neighbours one.
fn distance(a: &[char], b: &[char]) -> usize {
    let same = |x: char, y: char| x.eq_ignore_ascii_case(&y);
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(!same(a[i - 1], b[j - 1]));
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + cost);
            if i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn only_close_names_are_suggested() {
        let fields = ["Resource", "Result", "ResultPath", "Next"];
        let suggest = |written| did_you_mean(written, fields);
        assert_eq!(suggest("Resorce").as_deref(), Some("did you mean 'Resource'?"));
        assert_eq!(suggest("resultpath").as_deref(), Some("did you mean 'ResultPath'?"));
        assert_eq!(suggest("Nxet").as_deref(), Some("did you mean 'Next'?"));
        assert_eq!(suggest("Banana"), None);
    }
}
