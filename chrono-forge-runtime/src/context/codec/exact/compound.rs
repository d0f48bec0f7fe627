//! Values made of others: each part is written as exactly as the whole.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::{Inner, check_raw};

/// A sequence, a map, a struct, or a variant with fields.
pub(crate) struct Compound<S> {
    below: S,
    /// Of the parts.
    depth: usize,
    /// The text of raw JSON that a `Some` is around.
    is_raw_in_some: bool,
}

impl<S> Compound<S> {
    pub(super) fn new(below: S, depth: usize) -> Self {
        Self {
            below,
            depth,
            is_raw_in_some: false,
        }
    }

    pub(super) fn raw_in_some(below: S, depth: usize) -> Self {
        Self {
            below,
            depth,
            is_raw_in_some: true,
        }
    }
}

macro_rules! of_elements {
    ($($trait:ident::$element:ident,)*) => {
        $(impl<S: $trait> $trait for Compound<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.below.$element(&Inner(value, self.depth))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.below.end()
            }
        })*
    };
}

of_elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

impl<S: SerializeMap> SerializeMap for Compound<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.below.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.below.serialize_value(&Inner(value, self.depth))
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        self.below.serialize_entry(key, &Inner(value, self.depth))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.below.end()
    }
}

macro_rules! of_fields {
    ($($trait:ident,)*) => {
        $(impl<S: $trait> $trait for Compound<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                if self.is_raw_in_some {
                    check_raw(value)?;
                }
                self.below.serialize_field(key, &Inner(value, self.depth))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.below.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.below.end()
            }
        })*
    };
}

of_fields! {
    SerializeStruct,
    SerializeStructVariant,
}
