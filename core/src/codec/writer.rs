//! Values to bytes: serde's view of a value, written as docs/protocol.md says.
//!
//! Every call is a few stores into the buffer and is inlined into the message that it writes. Nothing
//! fails but a list that does not know its length.

use super::{EIGHT, FOUR, Fault, SIXTEEN, TWO};
use serde::ser::{self, Serialize, Serializer};

/// Appends to a buffer.
pub(super) struct Writer<'a> {
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Writer<'_> {
    #[inline]
    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.buffer.push(byte);
        Ok(())
    }

    /// A number in its shortest form.
    #[inline]
    fn number(&mut self, value: u64) -> Result<(), Fault> {
        if let Ok(byte) = u8::try_from(value)
            && byte < TWO
        {
            self.buffer.push(byte);
        } else if let Ok(value) = u16::try_from(value) {
            self.marked(TWO, value.to_le_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.marked(FOUR, value.to_le_bytes());
        } else {
            self.marked(EIGHT, value.to_le_bytes());
        }
        Ok(())
    }

    /// A mark for the width, and so many bytes.
    #[inline]
    fn marked<const N: usize>(&mut self, mark: u8, bytes: [u8; N]) {
        self.buffer.reserve(1 + N);
        self.buffer.push(mark);
        self.buffer.extend_from_slice(&bytes);
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.number(bytes.len() as u64)?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn length(self, len: Option<usize>) -> Result<Self, Fault> {
        let mut writer = self;
        writer.number(len.ok_or(Fault::Length)? as u64)?;
        Ok(writer)
    }

    /// Small numbers of either sign are small: 0, -1, 1, -2 become 0, 1, 2, 3.
    #[inline]
    fn signed(&mut self, value: i64) -> Result<(), Fault> {
        self.number((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned())
    }
}

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline]
    fn serialize_bool(mut self, value: bool) -> Result<(), Fault> {
        self.byte(value.into())
    }

    #[inline]
    fn serialize_i8(mut self, value: i8) -> Result<(), Fault> {
        self.byte(value.cast_unsigned())
    }

    #[inline]
    fn serialize_i16(mut self, value: i16) -> Result<(), Fault> {
        self.signed(value.into())
    }

    #[inline]
    fn serialize_i32(mut self, value: i32) -> Result<(), Fault> {
        self.signed(value.into())
    }

    #[inline]
    fn serialize_i64(mut self, value: i64) -> Result<(), Fault> {
        self.signed(value)
    }

    #[inline]
    fn serialize_u8(mut self, value: u8) -> Result<(), Fault> {
        self.byte(value)
    }

    #[inline]
    fn serialize_u16(mut self, value: u16) -> Result<(), Fault> {
        self.number(value.into())
    }

    #[inline]
    fn serialize_u32(mut self, value: u32) -> Result<(), Fault> {
        self.number(value.into())
    }

    #[inline]
    fn serialize_u64(mut self, value: u64) -> Result<(), Fault> {
        self.number(value)
    }

    #[inline]
    fn serialize_u128(mut self, value: u128) -> Result<(), Fault> {
        match u64::try_from(value) {
            Ok(value) => self.number(value),
            Err(_) => {
                self.marked(SIXTEEN, value.to_le_bytes());
                Ok(())
            }
        }
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        self.buffer.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        self.buffer.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.buffer.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(mut self, value: &str) -> Result<(), Fault> {
        self.bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Fault> {
        self.bytes(value)
    }

    #[inline]
    fn serialize_none(mut self) -> Result<(), Fault> {
        self.byte(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Fault> {
        self.byte(1)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
    ) -> Result<(), Fault> {
        self.number(index.into())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.number(index.into())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Fault> {
        self.length(len)
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self, Fault> {
        self.number(index.into())?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self, Fault> {
        self.length(len)
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self, Fault> {
        self.number(index.into())?;
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What holds others writes them one behind the other.
macro_rules! one_behind_the_other {
    ($($compound:ident :: $method:ident ($($name:ty)?);)*) => {
        $(impl ser::$compound for Writer<'_> {
            type Ok = ();
            type Error = Fault;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_name: $name,)?
                value: &T,
            ) -> Result<(), Fault> {
                value.serialize(Writer { buffer: self.buffer })
            }

            #[inline]
            fn end(self) -> Result<(), Fault> {
                Ok(())
            }
        })*
    };
}
one_behind_the_other! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(&'static str);
    SerializeStructVariant::serialize_field(&'static str);
}

impl ser::SerializeMap for Writer<'_> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        key.serialize(Writer { buffer: self.buffer })
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(Writer { buffer: self.buffer })
    }

    #[inline]
    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}
