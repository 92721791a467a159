//! The known name that is nearest to a mistyped one.

/// `; did you mean …?`, if one of the names is near enough to be worth saying.
pub(super) fn did_you_mean(name: &str, known: &[&str]) -> String {
    let typed = letters(name);
    let near_enough = (typed.len() / 3).max(1);
    known
        .iter()
        .map(|known| (distance(&typed, &letters(known)), known))
        .filter(|(distance, _)| *distance <= near_enough)
        .min_by_key(|(distance, _)| *distance)
        .map_or(String::new(), |(_, meant)| {
            format!("; did you mean `{meant}`?")
        })
}

/// A name's letters as they count: `first_name` is `firstName`.
fn letters(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// How many letters must be put in, taken out, changed, or swapped with their
/// neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    let at = |table: &[Vec<usize>], i: usize, j: usize| -> usize {
        let known = table.get(i).and_then(|row| row.get(j));
        known.copied().unwrap_or_default()
    };
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let (left, right) = (a.get(i.wrapping_sub(1)), b.get(j.wrapping_sub(1)));
            let least = match (left, right) {
                (Some(left), Some(right)) => {
                    let changed = at(&table, i - 1, j - 1) + usize::from(left != right);
                    let put_in = at(&table, i, j - 1) + 1;
                    let taken_out = at(&table, i - 1, j) + 1;
                    let swapped =
                        i > 1 && j > 1 && a.get(i - 2) == Some(right) && b.get(j - 2) == Some(left);
                    let least = changed.min(put_in).min(taken_out);
                    match swapped {
                        true => least.min(at(&table, i - 2, j - 2) + 1),
                        false => least,
                    }
                }
                _ => i.max(j),
            };
            if let Some(cell) = table.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = least;
            }
        }
    }
    at(&table, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn only_what_is_near_is_meant() {
        let known = ["firstName", "lastName", "tags"];
        assert_eq!(
            did_you_mean("first_name", &known),
            "; did you mean `firstName`?"
        );
        assert_eq!(
            did_you_mean("fristName", &known),
            "; did you mean `firstName`?"
        );
        assert_eq!(did_you_mean("tag", &known), "; did you mean `tags`?");
        assert_eq!(did_you_mean("stage", &known), "");
        assert_eq!(did_you_mean("", &[]), "");
    }
}
