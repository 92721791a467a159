//! "Did you mean": the known name that is nearest to a mistyped one.

/// The candidate that `name` is most likely a misspelling of, if one is close enough to be worth saying.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = letters(name);
    // A name of twice the length of any field is no misspelling, and comparing it would only cost time.
    if typed.len() > 64 {
        return None;
    }
    let close_enough = (typed.len() / 3).max(1);
    candidates
        .map(|candidate| (distance(&typed, &letters(candidate)), candidate))
        .filter(|(distance, _)| *distance <= close_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A name's letters without case, hyphens and underscores: `first_name` is `firstName` to whoever types it.
fn letters(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// How many letters must be put in, taken out, changed, or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_left = None;
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_right = None;
        for (j, right) in b.iter().enumerate() {
            let changed = at(&last, j) + usize::from(left != right);
            let put_in = at(&row, j) + 1;
            let taken_out = at(&last, j + 1) + 1;
            let mut least = changed.min(put_in).min(taken_out);
            if previous_left == Some(right) && previous_right == Some(left) {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
            previous_right = Some(right);
        }
        before = std::mem::replace(&mut last, row);
        previous_left = Some(left);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn of(name: &str) -> Option<&'static str> {
        nearest(
            name,
            [
                "firstName",
                "lastName",
                "emails",
                "phones",
                "stage",
                "stageId",
            ]
            .into_iter(),
        )
    }

    #[test]
    fn finds_misspellings_and_other_ways_to_write_a_name() {
        assert_eq!(of("firstname"), Some("firstName"));
        assert_eq!(of("first_name"), Some("firstName"));
        assert_eq!(of("fristName"), Some("firstName"));
        assert_eq!(of("email"), Some("emails"));
        assert_eq!(of("stgae"), Some("stage"));
        assert_eq!(of("stageID"), Some("stageId"));
    }

    #[test]
    fn says_nothing_rather_than_nonsense() {
        assert_eq!(of("x"), None);
        assert_eq!(of("favouriteColour"), None);
        assert_eq!(of(&"a".repeat(1_000_000)), None);
    }
}
