/// Characters of a line that people read.
const MOST: usize = 500;

/// One line of printable characters, not too many.
pub(crate) fn line(text: &str) -> String {
    let printable = text.trim().chars().map(|char| if char.is_control() { ' ' } else { char });
    printable.take(MOST).collect()
}
