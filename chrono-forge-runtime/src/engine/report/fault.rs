//! An error as a line has room for it.

use std::fmt;

/// Bytes of a class or a message that a line has; the error row has all of it.
const BYTES_MAX: usize = 1 << 10;

/// Class and message, each on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub class: String,
    pub error: String,
}

impl Fault {
    /// Of an error that is recorded like this.
    #[must_use]
    pub fn of(class: &str, message: &str) -> Self {
        Self {
            class: one_line(class),
            error: one_line(message),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.error, self.class)
    }
}

/// A text without the ends of its lines, cut at its bound between two characters.
fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(BYTES_MAX)];
    let mut line = String::with_capacity(kept.len());
    for character in kept.chars() {
        match character.is_control() {
            true => line.extend(character.escape_debug()),
            false => line.push(character),
        }
    }
    if kept.len() < text.len() {
        line.push_str("..");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_of_bounded_length() {
        let fault = Fault::of("a::E", "first\nsecond\t\u{1b}[31m");
        assert_eq!(fault.error, "first\\nsecond\\t\\u{1b}[31m");
        let long = Fault::of("E", &"é".repeat(BYTES_MAX));
        assert!(long.error.len() <= BYTES_MAX + 2 && long.error.ends_with("é.."));
        assert_eq!(fault.to_string(), format!("{} (a::E)", fault.error));
    }
}
