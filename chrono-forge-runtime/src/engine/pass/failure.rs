//! A failed attempt, taken from whatever the user's code gave us.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Display, Write as _};

use crate::definition::BodyError;
use crate::engine::panics::{self, Contained};
use crate::error::{ContextError, DefinitionError, RecordedFailure};
use crate::retry::Cause;

/// The class of an error whose own type is erased, until a policy lends it the name of a type.
const ERASED: &str = "anyhow::Error";

/// Bytes of a backtrace that are kept: enough for the frames of user code, which come early.
const BACKTRACE_BYTES_MAX: usize = 16 << 10;

/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a class that are kept: the name of a type that is made of others has no bound.
const CLASS_BYTES_MAX: usize = 1 << 10;

/// Stands for the null character.
const REPLACED: &str = "\u{fffd}";

/// Stands where a message was cut.
const CUT: &str = "..";

/// What is recorded of a failed attempt. Its texts are final: the body, every replay and both
/// databases see the same.
#[derive(Clone, Debug)]
pub struct Failure {
    pub class: String,
    pub message: String,
    pub backtrace: Option<String>,
    pub is_timeout: bool,
    /// It carries the recorded failure of another operation, so another attempt meets it again.
    pub is_recorded: bool,
}

impl Failure {
    /// Of an error; `class` is the name of its static type.
    fn of(error: &anyhow::Error, class: &'static str) -> Self {
        Self {
            class: bounded(class, CLASS_BYTES_MAX),
            message: message(format_args!("{error:#}")),
            backtrace: bounded_text(error.backtrace()),
            is_timeout: false,
            is_recorded: RecordedFailure::is_in(error),
        }
    }

    /// Of an attempt that ran out of time.
    #[must_use]
    pub fn timeout(text: impl Display) -> Self {
        Self {
            class: "timeout".to_owned(),
            message: message(text),
            backtrace: None,
            is_timeout: true,
            is_recorded: false,
        }
    }

    /// Of an attempt that panicked.
    #[must_use]
    pub fn panic(text: impl Display, backtrace: Option<&Backtrace>) -> Self {
        Self {
            class: "panic".to_owned(),
            message: message(text),
            backtrace: backtrace.and_then(bounded_text),
            is_timeout: false,
            is_recorded: false,
        }
    }

    /// Of a rule of the vocabulary that was broken.
    #[must_use]
    pub fn rule(error: &DefinitionError) -> Self {
        Self {
            class: DefinitionError::CLASS.to_owned(),
            message: message(error),
            backtrace: None,
            is_timeout: false,
            is_recorded: false,
        }
    }

    /// As it is, with what the destructors of the attempt came to when it was cut off.
    #[must_use]
    pub fn cut_off(mut self, dropped: Result<(), Self>) -> Self {
        if let Err(panic) = dropped {
            let panicked = "its destructors panicked when it was cut off";
            self.message = message(format_args!(
                "{}; {panicked}: {}",
                self.message, panic.message
            ));
            self.backtrace = self.backtrace.or(panic.backtrace);
        }
        self
    }

    /// With the class that a policy lends to an error whose own type is erased.
    #[must_use]
    pub fn lent(mut self, class: Option<&'static str>) -> Self {
        if let Some(class) = class.filter(|_| self.class == ERASED) {
            self.class = bounded(class, CLASS_BYTES_MAX);
        }
        self
    }

    /// A failure that nobody could decide about, because the policy itself panicked.
    #[must_use]
    pub fn undecided(mut self, panic: Self) -> Self {
        let panicked = "asked whether to try again, the retry policy panicked";
        self.message = message(format_args!(
            "{}; {panicked}: {}",
            self.message, panic.message
        ));
        self.backtrace = self.backtrace.or(panic.backtrace);
        self
    }
}

/// A failure together with what decides whether another attempt follows.
#[derive(Debug)]
pub struct Thrown {
    pub failure: Failure,
    /// `None` for a panic and for an attempt that ran out of time.
    error: Option<Contained<anyhow::Error>>,
}

impl Thrown {
    /// An error whose static type is known: its name is the class, unless the type itself erases it.
    pub fn typed<E: Into<anyhow::Error>>(error: E) -> Self {
        Self::of(error.into(), std::any::type_name::<E>())
    }

    /// An error; `class` is the name of its static type. Telling it runs user code; where that panics,
    /// the attempt has ended in a panic.
    #[must_use]
    pub fn of(error: anyhow::Error, class: &'static str) -> Self {
        let error = Contained::new(error);
        let told = error
            .get()
            .map(|error| panics::catch(|| Failure::of(error, class)));
        match told {
            Some(Ok(failure)) => Self {
                failure,
                error: Some(error),
            },
            Some(Err(panic)) => panic.into(),
            None => Failure::panic("", None).into(),
        }
    }

    /// The entry of the context that could not be read, if that is what the error tells.
    #[must_use]
    pub fn unreadable_entry(&self) -> Option<&str> {
        let error = self.error.as_ref().and_then(Contained::get)?;
        let causes = error.chain().find_map(|cause| cause.downcast_ref());
        match causes? {
            ContextError::Undecodable { key, .. } => Some(key),
            _ => None,
        }
    }

    /// What a policy is asked about.
    #[must_use]
    pub fn cause(&self) -> Cause<'_> {
        match self.error.as_ref().and_then(Contained::get) {
            Some(error) => Cause::Error(error),
            None if self.failure.is_timeout => Cause::Timeout,
            None => Cause::Panic,
        }
    }
}

impl From<BodyError> for Thrown {
    fn from(BodyError { error, class }: BodyError) -> Self {
        Self::of(error, class)
    }
}

impl From<Failure> for Thrown {
    /// A panic, or an attempt that ran out of time.
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            error: None,
        }
    }
}

/// The text of a message as it is kept.
fn message(text: impl Display) -> String {
    bounded(text, MESSAGE_BYTES_MAX)
}

/// A text, cut at its bound between two characters, and with a replacement for the null character,
/// which PostgreSQL cannot store. What is beyond the bound is not even formatted.
fn bounded(text: impl Display, bytes_max: usize) -> String {
    let mut kept = Bounded {
        text: String::new(),
        room: bytes_max - CUT.len(),
        is_cut: false,
    };
    let is_told = write!(kept, "{text}").is_ok();
    // Where the text itself could not be told, its beginning was.
    match is_told && !kept.is_cut {
        true => kept.text,
        false => kept.text + CUT,
    }
}

struct Bounded {
    text: String,
    room: usize,
    /// Nothing follows, also of one whose code goes on though it was told that there is no room.
    is_cut: bool,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let text = match text.contains('\0') {
            true => &text.replace('\0', REPLACED),
            false => text,
        };
        let fits = text.floor_char_boundary(self.room - self.text.len());
        self.text.push_str(&text[..fits]);
        self.is_cut = fits < text.len();
        match self.is_cut {
            true => Err(fmt::Error),
            false => Ok(()),
        }
    }
}

/// The text of a backtrace that was captured, cut at its bound. This is where its frames are looked
/// up, which takes milliseconds.
fn bounded_text(backtrace: &Backtrace) -> Option<String> {
    if backtrace.status() != BacktraceStatus::Captured {
        return None;
    }
    // No database keeps every character.
    let mut text = backtrace.to_string().replace('\0', REPLACED);
    if text.len() > BACKTRACE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(BACKTRACE_BYTES_MAX));
        text.push_str("\n..");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_lent_only_to_an_error_whose_type_is_erased() {
        let lent = |thrown: Thrown| thrown.failure.lent(Some("Lent")).class;
        assert_eq!(lent(Thrown::typed(anyhow::anyhow!("a"))), "Lent");
        assert_eq!(
            lent(Thrown::typed(std::fmt::Error)),
            std::any::type_name::<std::fmt::Error>()
        );
        assert_eq!(lent(Failure::panic("", None).into()), "panic");
        let unlent = Thrown::typed(anyhow::anyhow!("a")).failure.lent(None);
        assert_eq!(unlent.class, ERASED);
        assert_eq!(ERASED, std::any::type_name::<anyhow::Error>());
    }

    #[test]
    fn a_class_has_a_bound() {
        struct Twice<T>(std::marker::PhantomData<T>);
        type Eight<T> = Twice<Twice<Twice<T>>>;
        type Long = Eight<Eight<Eight<Eight<Eight<Eight<u8>>>>>>;
        let long = std::any::type_name::<Long>();
        assert!(long.len() > CLASS_BYTES_MAX, "{}", long.len());
        let class = Failure::of(&anyhow::anyhow!(""), long).class;
        assert_eq!(class.len(), CLASS_BYTES_MAX);
        let erased = Failure::of(&anyhow::anyhow!(""), ERASED);
        assert_eq!(erased.lent(Some(long)).class, class);
    }

    #[test]
    fn nothing_follows_a_cut_even_if_the_text_does_not_listen() {
        struct Deaf;
        impl Display for Deaf {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let _ = f.write_str(&"x".repeat(MESSAGE_BYTES_MAX - CUT.len() - 1));
                let _ = f.write_str("é");
                let _ = f.write_str("y");
                Ok(())
            }
        }
        assert!(message(Deaf).ends_with("x.."));
    }

    #[test]
    fn a_message_is_cut_between_two_characters_and_has_no_null() {
        assert_eq!(message("a\0b"), "a\u{fffd}b");
        for text in ["x".to_owned() + &"é".repeat(1 << 20), "é\0".repeat(1 << 20)] {
            let cut = message(&text);
            assert!(cut.len() <= MESSAGE_BYTES_MAX && cut.len() > MESSAGE_BYTES_MAX - 8);
            let kept = cut.strip_suffix(CUT).unwrap();
            assert!(text.replace('\0', REPLACED).starts_with(kept));
        }
        let exact = "x".repeat(MESSAGE_BYTES_MAX - CUT.len());
        assert_eq!(message(&exact), exact);
        let mut failure = Failure::panic(&exact, None);
        failure = failure.cut_off(Err(Failure::panic(&exact, None)));
        assert!(failure.message.len() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn a_backtrace_is_cut_at_its_bound() {
        #[inline(never)]
        fn deep(frames: u32) -> Backtrace {
            if frames == 0 {
                return Backtrace::force_capture();
            }
            std::hint::black_box(deep(std::hint::black_box(frames - 1)))
        }
        let text = bounded_text(&deep(400)).unwrap();
        assert!(text.contains("deep") && text.ends_with(".."));
        assert!(text.len() <= BACKTRACE_BYTES_MAX + 3, "{}", text.len());
        assert_eq!(bounded_text(&Backtrace::disabled()), None);
    }
}
