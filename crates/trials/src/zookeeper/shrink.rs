//! Makes a case that differs as short as it can be: parts are left out as long as it still differs.

/// Attempts in all, so that a stubborn case ends, too.
const ATTEMPTS: usize = 400;

/// The shortest case found for which `differs` still holds. It held for `steps`.
///
/// # Errors
/// What `differs` fails with.
pub fn shrink<S: Clone>(
    steps: Vec<S>,
    mut differs: impl FnMut(&[S]) -> anyhow::Result<bool>,
) -> anyhow::Result<Vec<S>> {
    let mut shortest = steps;
    let mut size = shortest.len() / 2;
    let mut attempts = 0;
    while size > 0 {
        let mut begin = 0;
        while begin < shortest.len() && attempts < ATTEMPTS {
            let end = (begin + size).min(shortest.len());
            let rest: Vec<S> = [&shortest[..begin], &shortest[end..]].concat();
            attempts += 1;
            if differs(&rest)? {
                shortest = rest;
            } else {
                begin = end;
            }
        }
        size /= 2;
    }
    Ok(shortest)
}
