//! An encoder that refuses what JSON cannot tell apart: `Some` around what is `null`, and floats
//! that are not finite.
//!
//! `Some(None)`, `Some(())` and `f64::NAN` are all written `null`, which reads back as `None`, as
//! another variant, or not at all: the body would go another way when it replays. What nests too
//! deeply to be read is refused where it does, since a stack ends sooner than such a value may.
//! Everything else goes on to the serializer below as it is, in one pass.

mod compound;

use std::fmt::Display;

use serde::ser::{Error, Serialize, Serializer};

use super::{DEPTH_MAX, too_deep};
use compound::Compound;

/// How `serde_json` names raw JSON to its own serializer.
const RAW: &str = "$serde_json::private::RawValue";

/// What it names so is one value, and no struct.
const PRIVATE: &str = "$serde_json::private::";

/// See the module.
pub(super) struct Exact<S> {
    below: S,
    /// This is what a `Some` is around.
    in_some: bool,
    /// Arrays and objects that this stands in.
    depth: usize,
}

impl<S: Serializer> Exact<S> {
    pub(super) fn new(below: S) -> Self {
        Self::within(0, below)
    }

    fn within(depth: usize, below: S) -> Self {
        Self {
            below,
            in_some: false,
            depth,
        }
    }

    /// The depth of what stands in so many arrays and objects more.
    fn enter(&self, levels: usize) -> Result<usize, S::Error> {
        match self.depth + levels {
            depth if depth <= DEPTH_MAX => Ok(depth),
            _ => Err(S::Error::custom(too_deep(DEPTH_MAX))),
        }
    }

    /// The serializer for a value that is written `null`.
    fn null(self) -> Result<S, S::Error> {
        if self.in_some {
            Err(some_of_null())
        } else {
            Ok(self.below)
        }
    }

    /// The serializer for a float.
    fn float(self, is_finite: bool) -> Result<S, S::Error> {
        match is_finite {
            true => Ok(self.below),
            false => Err(S::Error::custom(
                "NaN and the infinities have no JSON; use an `Option`, or an enum of your own that names the cases",
            )),
        }
    }
}

fn some_of_null<E: Error>() -> E {
    E::custom(
        "`Some` is around a value that JSON writes as `null`, as in `Some(None)` or `Some(())`, and would read back as \
         `None`; use an enum of your own that names the cases",
    )
}

/// A value inside another one, at its depth.
pub(super) struct Inner<'a, T: ?Sized>(pub(super) &'a T, pub(super) usize);

impl<T: Serialize + ?Sized> Serialize for Inner<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Exact::within(self.1, serializer))
    }
}

/// What a `Some` is around, at its depth.
struct InSome<'a, T: ?Sized>(&'a T, usize);

impl<T: Serialize + ?Sized> Serialize for InSome<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Exact {
            below: serializer,
            in_some: true,
            depth: self.1,
        })
    }
}

macro_rules! plain {
    ($($name:ident($type:ty),)*) => {
        $(fn $name(self, value: $type) -> Result<S::Ok, S::Error> {
            self.below.$name(value)
        })*
    };
}

impl<S: Serializer> Serializer for Exact<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<S::SerializeSeq>;
    type SerializeTuple = Compound<S::SerializeTuple>;
    type SerializeTupleStruct = Compound<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<S::SerializeTupleVariant>;
    type SerializeMap = Compound<S::SerializeMap>;
    type SerializeStruct = Compound<S::SerializeStruct>;
    type SerializeStructVariant = Compound<S::SerializeStructVariant>;

    plain! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.float(value.is_finite())?.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.float(value.is_finite())?.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_unit_struct(name)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.below.serialize_some(&InSome(value, self.depth))
    }

    // Written as what it is around.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let depth = self.depth;
        match self.in_some {
            true => self
                .below
                .serialize_newtype_struct(name, &InSome(value, depth)),
            false => self
                .below
                .serialize_newtype_struct(name, &Inner(value, depth)),
        }
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.below.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = &Inner(value, self.enter(1)?);
        self.below
            .serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let depth = self.enter(1)?;
        Ok(Compound::new(self.below.serialize_seq(len)?, depth))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let depth = self.enter(1)?;
        Ok(Compound::new(self.below.serialize_tuple(len)?, depth))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let depth = self.enter(1)?;
        let below = self.below.serialize_tuple_struct(name, len)?;
        Ok(Compound::new(below, depth))
    }

    // Variants with fields are an array or an object in an object of their name.
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let depth = self.enter(2)?;
        let below = self
            .below
            .serialize_tuple_variant(name, index, variant, len)?;
        Ok(Compound::new(below, depth))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let depth = self.enter(1)?;
        Ok(Compound::new(self.below.serialize_map(len)?, depth))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let depth = self.enter(usize::from(!name.starts_with(PRIVATE)))?;
        let below = self.below.serialize_struct(name, len)?;
        Ok(match self.in_some && name == RAW {
            true => Compound::raw_in_some(below, depth),
            false => Compound::new(below, depth),
        })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let depth = self.enter(2)?;
        let below = self
            .below
            .serialize_struct_variant(name, index, variant, len)?;
        Ok(Compound::new(below, depth))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.below.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.below.is_human_readable()
    }
}

/// Refuses raw JSON that is `null`.
fn check_raw<T: Serialize + ?Sized, E: Error>(text: &T) -> Result<(), E> {
    match serde_json::to_value(text) {
        Ok(serde_json::Value::String(text)) if text.trim() == "null" => Err(some_of_null()),
        Ok(_) => Ok(()),
        Err(error) => Err(E::custom(error)),
    }
}

#[cfg(test)]
mod tests;
