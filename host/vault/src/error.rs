//! Why the vault refused; every text says what to do about it.

/// Why a key could not be loaded, or a value not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no key file, and none may be made because sealed values exist.
    #[error(
        "the master key {place} is missing although secrets are sealed with it: put the file back from your backup; \
         without it those secrets cannot be read"
    )]
    KeyMissing {
        /// Where the key should be.
        place: String,
    },
    /// The key is to come from a variable that is not set.
    #[error(
        "the master key is to come from {place}, which is not set: set it to the key that secrets are sealed with; \
         a new installation's is made by `head -c 32 /dev/urandom | base64`"
    )]
    KeyUnset {
        /// Where the key should be.
        place: String,
    },
    /// Others than the owner may read or write the key file.
    #[error(
        "the master key {place} is open to other users (mode {mode:04o}): run `chmod 600` on it"
    )]
    KeyExposed {
        /// Where the key is.
        place: String,
        /// The permission bits found.
        mode: u32,
    },
    /// It is not lines of base64 text.
    #[error(
        "the master key in {place} is not a line of base64 for each key: put back the one from your backup; \
         only if nothing was ever sealed with it, take a new one"
    )]
    KeyFormat {
        /// Where the key is.
        place: String,
    },
    /// A key has the wrong size.
    #[error(
        "the master key in {place} has {found} bytes instead of 32: put back the one from your backup; \
         only if nothing was ever sealed with it, take a new one"
    )]
    KeyLength {
        /// Where the key is.
        place: String,
        /// How many bytes the base64 text stands for.
        found: usize,
    },
    /// The key file could not be read or written.
    #[error(
        "the master key {place} cannot be used: {source}; check the owner and the mode of the file and its directory"
    )]
    KeyFile {
        /// Where the key is.
        place: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The command gave no key.
    #[error(
        "{place} gave no master key: {reason}; run it by hand as the host's user, it has to print a line of base64 for each key"
    )]
    KeyCommand {
        /// Which command it is.
        place: String,
        /// What became of it.
        reason: String,
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
    /// The value was sealed with another key.
    #[error(
        "the value was sealed with key {needed}, but this host has key {present}: \
         put the right master key back from your backup"
    )]
    OtherKey {
        /// Id of the key that the value needs.
        needed: String,
        /// Ids of the keys that are known.
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
    /// There is no room for another master key.
    #[error(
        "there are {known} master keys, as many as a key file may hold: drop those that nothing needs, \
         see `rollout key list` and `rollout key drop`"
    )]
    TooManyKeys {
        /// How many there are.
        known: usize,
    },
}
