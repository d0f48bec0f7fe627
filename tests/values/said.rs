//! Random failures, and what is kept of their texts.

use std::fmt;
use std::panic::resume_unwind;

use proptest::collection::vec;
use proptest::prelude::*;

/// The most bytes that are kept of a text.
const BYTES_MAX: usize = 64 << 10;

/// Stands where a text was cut.
const CUT: &str = "..";

/// How an attempt fails.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// By an error with its causes.
    Chain(Vec<Text>),
    /// By a panic.
    Panic(Text),
    /// By an error that writes its text piece by piece.
    Pieces(Vec<Text>),
    /// The same, and goes on when it is told that there is no room.
    Deaf(Vec<Text>),
    /// By an error that cannot tell all of its text.
    Broken(Text),
}

/// A text: so many of one piece, and another one behind them.
#[derive(Clone)]
pub(crate) struct Text {
    piece: String,
    bytes: usize,
    tail: String,
}

impl Text {
    fn whole(&self) -> String {
        let times = self.bytes / self.piece.len().max(1);
        self.piece.repeat(times) + &self.tail
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { piece, bytes, tail } = self;
        write!(f, "{bytes} bytes of {piece:?} and {tail:?}")
    }
}

pub(crate) fn some() -> impl Strategy<Value = Vec<Said>> {
    vec(said(), 1..=12)
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        vec(text(), 1..4).prop_map(Said::Chain),
        text().prop_map(Said::Panic),
        vec(text(), 1..6).prop_map(Said::Pieces),
        vec(text(), 1..6).prop_map(Said::Deaf),
        text().prop_map(Said::Broken),
    ]
}

fn text() -> impl Strategy<Value = Text> {
    let characters = prop_oneof![
        proptest::sample::select(&['\0', 'x', 'é', '\u{fffd}', '😀', '\n', '"'][..]),
        any::<char>(),
    ];
    let piece = vec(characters.clone(), 1..4).prop_map(String::from_iter);
    // Around the bound, also of what a null character becomes.
    let bytes = prop_oneof![
        2 => 0..40_usize,
        2 => BYTES_MAX - 20..BYTES_MAX + 8,
        1 => BYTES_MAX / 3 - 8..BYTES_MAX / 3 + 8,
        1 => Just(3 * BYTES_MAX),
    ];
    let tail = vec(characters, 0..6).prop_map(String::from_iter);
    (piece, bytes, tail).prop_map(|(piece, bytes, tail)| Text { piece, bytes, tail })
}

impl Said {
    /// Fails like this.
    pub(crate) fn fail<T>(&self) -> Result<T, anyhow::Error> {
        let told = |texts: &[Text], how| Told {
            texts: texts.iter().map(Text::whole).collect(),
            how,
        };
        Err(match self {
            Self::Panic(text) => resume_unwind(Box::new(text.whole())),
            Self::Chain(texts) => {
                let (last, above) = texts.split_last().expect("there is one");
                let root = anyhow::Error::new(told(std::slice::from_ref(last), How::InPieces));
                let mut above = above.iter().rev();
                above
                    .try_fold(root, |error, text| Some(error.context(text.whole())))
                    .expect("each is an error")
            }
            Self::Pieces(texts) => told(texts, How::InPieces).into(),
            Self::Deaf(texts) => told(texts, How::Deaf).into(),
            Self::Broken(text) => told(std::slice::from_ref(text), How::Broken).into(),
        })
    }

    /// What is kept of it everywhere.
    pub(crate) fn kept(&self) -> String {
        let whole = |texts: &[Text], between: &str| {
            let texts: Vec<_> = texts.iter().map(Text::whole).collect();
            texts.join(between)
        };
        let (text, is_whole) = match self {
            Self::Chain(texts) => (whole(texts, ": "), true),
            Self::Pieces(texts) | Self::Deaf(texts) => (whole(texts, ""), true),
            Self::Panic(text) => (text.whole(), true),
            Self::Broken(text) => (text.whole(), false),
        };
        let text = text.replace('\0', "\u{fffd}");
        let room = BYTES_MAX - CUT.len();
        if text.len() <= room && is_whole {
            return text;
        }
        let mut end = room.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned() + CUT
    }

    /// The class that is recorded of an error of a step.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Panic(_) => "panic",
            _ => "anyhow::Error",
        }
    }
}

/// An error that tells its texts.
#[derive(Debug)]
struct Told {
    texts: Vec<String>,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    InPieces,
    Deaf,
    Broken,
}

impl std::error::Error for Told {}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for text in &self.texts {
            match self.how {
                How::Deaf => _ = f.write_str(text),
                How::InPieces | How::Broken => f.write_str(text)?,
            }
        }
        match self.how {
            How::Broken => Err(fmt::Error),
            How::InPieces | How::Deaf => Ok(()),
        }
    }
}
