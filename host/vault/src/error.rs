//! Why the vault refused; every text says what to do about it.

/// Why a key could not be loaded, or a value not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no key file, and none may be made because sealed values exist.
    #[error(
        "the master key `{name}` is missing from the data directory although secrets are sealed with it: \
         put the file back from your backup; without it those secrets cannot be read"
    )]
    KeyMissing {
        /// The key file's name.
        name: String,
    },
    /// Others than the owner may read or write the key file.
    #[error(
        "the master key `{name}` is open to other users (mode {mode:04o}): run `chmod 600 {name}` in the data directory"
    )]
    KeyExposed {
        /// The key file's name.
        name: String,
        /// The permission bits found.
        mode: u32,
    },
    /// The key file is not a regular file holding base64 text.
    #[error(
        "the master key `{name}` is not one line of base64: put the file back from your backup; \
         if nothing was ever sealed in this data directory, delete it and a new key is made"
    )]
    KeyFormat {
        /// The key file's name.
        name: String,
    },
    /// The key file holds a key of the wrong size.
    #[error(
        "the master key `{name}` holds {found} bytes instead of 32: put the file back from your backup; \
         if nothing was ever sealed in this data directory, delete it and a new key is made"
    )]
    KeyLength {
        /// The key file's name.
        name: String,
        /// How many bytes the file's base64 text stands for.
        found: usize,
    },
    /// The key file could not be read or written.
    #[error(
        "the master key `{name}` cannot be used: {source}; check the owner and the mode of the data directory"
    )]
    KeyFile {
        /// The key file's name.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes: secrets cannot be sealed now")]
    Random,
    /// The value is too long to be sealed.
    #[error("the secret is too long to be sealed")]
    TooLong,
    /// The text is not a sealed value of a version that this host knows.
    #[error(
        "the text is not a sealed value of the form `rv1.KEYID.BASE64URL`: it was damaged, or made by a newer host"
    )]
    Malformed,
    /// The value was sealed with another master key.
    #[error(
        "the value was sealed with master key {needed}, but this host has master key {present}: \
         put the right key file back from your backup"
    )]
    OtherKey {
        /// Id of the key that the value needs.
        needed: String,
        /// Id of the key that is loaded.
        present: String,
    },
    /// The value was changed, or belongs to another environment, owner or slot.
    #[error(
        "the sealed value was changed, or was copied here from another environment, owner or slot: enter the secret again"
    )]
    Rejected,
    /// The secret is not UTF-8, but text was asked for.
    #[error("the secret is not text")]
    NotText,
}
