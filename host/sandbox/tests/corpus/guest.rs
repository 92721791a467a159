//! Makes connectors of a few lines of WebAssembly text, and files that are none.

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A connector whose manifest is `{}`. Its `probe` runs `body`, which leaves the
/// address of the answer: at 1024 lies the answer "ok, label `me`".
pub(crate) struct Guest {
    items: String,
    realloc: String,
    describe: String,
    body: String,
    memory: String,
    encoding: StringEncoding,
}

/// What every guest can call. Numbers are addresses, lengths and handles, as the
/// component model lowers them.
const IMPORTS: &str = r#"
  (import "rollout:connector/http@0.1.0" "send-all" (func $send_all (param i32 i32 i32)))
  (import "rollout:connector/credential@0.1.0" "field" (func $field (param i32 i32 i32)))
  (import "rollout:connector/state@0.1.0" "get" (func $state_get (param i32 i32 i32)))
  (import "rollout:connector/state@0.1.0" "set" (func $state_set (param i32 i32 i32 i32 i32 i64 i32)))
  (import "rollout:connector/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $write_zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/environment@0.2.0" "initial-cwd" (func $cwd (param i32)))
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
"#;

/// An allocator that takes one place after the other, from 4096 on.
const BUMP: &str = r"
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
  (global.set $top (i32.add (local.get $at) (local.get 3)))
  (local.get $at)";

/// A guest that runs this while it proves the credential.
pub(crate) fn probing(body: &str) -> Guest {
    Guest {
        items: String::new(),
        realloc: BUMP.to_owned(),
        describe: String::new(),
        body: body.to_owned(),
        memory: "1".to_owned(),
        encoding: StringEncoding::UTF8,
    }
}

/// One that answers well, if nothing else is wrong with it.
pub(crate) fn answering() -> Guest {
    probing("(i32.const 1024)")
}

impl Guest {
    /// More functions, tables, exports.
    pub(crate) fn items(mut self, items: &str) -> Self {
        items.clone_into(&mut self.items);
        self
    }

    /// What its allocator does instead.
    pub(crate) fn realloc(mut self, body: &str) -> Self {
        body.clone_into(&mut self.realloc);
        self
    }

    /// What it does before it describes itself.
    pub(crate) fn describing(mut self, body: &str) -> Self {
        body.clone_into(&mut self.describe);
        self
    }

    /// The pages that its memory begins with.
    pub(crate) fn pages(mut self, pages: u32) -> Self {
        self.memory = pages.to_string();
        self
    }

    /// Its strings are UTF-16.
    pub(crate) fn utf16(mut self) -> Self {
        self.encoding = StringEncoding::UTF16;
        self
    }

    /// The component.
    pub(crate) fn file(&self) -> Vec<u8> {
        let core = self.core();
        let mut resolve = Resolve::default();
        resolve.push_dir("../../wit/connector").unwrap();
        let package = resolve.push_str("world.wit", include_str!("world.wit"));
        let world = resolve.select_world(&[package.unwrap()], Some("guest"));
        let mut module = wat::parse_str(&core).unwrap_or_else(|error| panic!("{error}: {core}"));
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world.unwrap(),
            self.encoding,
        )
        .unwrap();
        let encoded = ComponentEncoder::default()
            .module(&module)
            .and_then(|encoder| encoder.encode());
        encoded.unwrap()
    }

    fn core(&self) -> String {
        let Self {
            items,
            realloc,
            describe,
            body,
            memory,
            ..
        } = self;
        // `{}` and `me` are the same text in both encodings, at other places.
        let (manifest, me) = match self.encoding {
            StringEncoding::UTF16 => (r"\20\02\00\00\02\00\00\00", r"\24\02\00\00\02\00\00\00"),
            _ => (r"\00\02\00\00\02\00\00\00", r"\02\02\00\00\02\00\00\00"),
        };
        let zeros = |count: usize| r"\00".repeat(count);
        let answer = [&zeros(8), me, &zeros(12), me, &zeros(20)].concat();
        format!(
            r#"(module {IMPORTS}
              (memory (export "memory") {memory})
              (global $top (mut i32) (i32.const 4096))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              (data (i32.const 512) "{{}}me\ff\fe")
              (data (i32.const 544) "{{\00}}\00m\00e\00\00\d8")
              (data (i32.const 600) "{manifest}")
              (data (i32.const 1024) "{answer}")
              (func (export "rollout:connector/manifest@0.1.0#describe") (result i32)
                {describe} (i32.const 600))
              {items}
              (func (export "rollout:connector/auth@0.1.0#probe") (result i32) {body}))"#
        )
    }

    /// The component, with another beside it that it knows nothing of: both are
    /// instantiated together.
    pub(crate) fn beside(&self, other: &str) -> Vec<u8> {
        let mut file = self.file();
        let nested = components(&file);
        let other = wat::parse_str(other).unwrap_or_else(|error| panic!("{error}: {other}"));
        section(&mut file, 4, &other);
        // One instance, of a component, without arguments.
        let mut instance = vec![1, 0];
        leb128(&mut instance, nested);
        instance.push(0);
        section(&mut file, 5, &instance);
        file
    }
}

/// Appends a section.
pub(crate) fn section(file: &mut Vec<u8>, id: u8, content: &[u8]) {
    file.push(id);
    leb128(file, content.len());
    file.extend_from_slice(content);
}

/// Appends a number as WebAssembly writes it.
pub(crate) fn leb128(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many components lie in a component.
fn components(file: &[u8]) -> usize {
    let (mut at, mut found) = (8, 0);
    while at < file.len() {
        found += usize::from(file[at] == 4);
        at += 1;
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = file[at];
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += size;
    }
    found
}
