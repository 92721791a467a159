//! What a connector answers, blanked of its account's secrets before anybody else sees
//! it. A connector never has a secret, unless its app gave one away in pieces or in a
//! form that nobody looks for; put together again, it must not become a record.

use std::borrow::Cow;

use rollout_egress::Redactor;
use rollout_sandbox::{Account, CallError, Caller, Item, Outcome, Page, ReadScope, Write, Written};

use crate::call::Call;

impl Call<'_> {
    /// [`Caller::probe`]
    pub async fn probe(&self) -> Result<Account, CallError> {
        let mut account = Caller::probe(self).await?;
        let blanking = self.redactor();
        clean(&blanking, &mut account.label);
        clean(&blanking, &mut account.external_id);
        let names = account.fields.iter_mut();
        names.for_each(|(_, value)| clean(&blanking, value));
        account
            .avatar
            .iter_mut()
            .for_each(|url| clean(&blanking, url));
        Ok(account)
    }

    /// [`Caller::sign_in`]
    pub(crate) async fn sign_in(&self, public_inputs: &str) -> Result<Outcome, CallError> {
        let outcome = Caller::sign_in(self, public_inputs).await?;
        Ok(self.clean_outcome(outcome))
    }

    /// [`Caller::answer`]
    pub(crate) async fn answer(&self, state: &str) -> Result<Outcome, CallError> {
        let outcome = Caller::answer(self, state).await?;
        Ok(self.clean_outcome(outcome))
    }

    fn clean_outcome(&self, mut outcome: Outcome) -> Outcome {
        let blanking = self.redactor();
        if let Outcome::Challenge(challenge) = &mut outcome {
            clean(&blanking, &mut challenge.title);
            clean(&blanking, &mut challenge.message);
            clean(&blanking, &mut challenge.state);
        }
        outcome
    }

    /// [`Caller::changes`]
    pub async fn changes(
        &self,
        entity: &str,
        scope: &ReadScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, CallError> {
        let mut page = Caller::changes(self, entity, scope, cursor, limit).await?;
        let blanking = self.redactor();
        page.items
            .iter_mut()
            .for_each(|item| clean_item(&blanking, item));
        page.next
            .iter_mut()
            .for_each(|cursor| clean(&blanking, cursor));
        Ok(page)
    }

    /// [`Caller::get`]
    pub async fn get(&self, entity: &str, ids: &[String]) -> Result<Vec<Item>, CallError> {
        let mut items = Caller::get(self, entity, ids).await?;
        let blanking = self.redactor();
        items
            .iter_mut()
            .for_each(|item| clean_item(&blanking, item));
        Ok(items)
    }

    /// [`Caller::create`]
    pub async fn create(&self, entity: &str, write: &Write) -> Result<Written, CallError> {
        let written = Caller::create(self, entity, write).await?;
        Ok(self.clean_written(written))
    }

    /// [`Caller::update`]
    pub async fn update(
        &self,
        entity: &str,
        id: &str,
        write: &Write,
    ) -> Result<Written, CallError> {
        let written = Caller::update(self, entity, id, write).await?;
        Ok(self.clean_written(written))
    }

    /// [`Caller::perform`]
    pub async fn perform(
        &self,
        entity: &str,
        id: &str,
        operation: &str,
        write: &Write,
    ) -> Result<Written, CallError> {
        let written = Caller::perform(self, entity, id, operation, write).await?;
        Ok(self.clean_written(written))
    }

    fn clean_written(&self, mut written: Written) -> Written {
        let blanking = self.redactor();
        match &mut written {
            Written::Item(item) => clean_item(&blanking, item),
            Written::Id(id) => clean(&blanking, id),
            Written::Accepted => {}
        }
        written
    }
}

fn clean_item(blanking: &Redactor, item: &mut Item) {
    clean(blanking, &mut item.id);
    clean(blanking, &mut item.body);
    item.native
        .iter_mut()
        .for_each(|native| clean(blanking, native));
    item.merged_ids
        .iter_mut()
        .for_each(|id| clean(blanking, id));
}

fn clean(blanking: &Redactor, text: &mut String) {
    if let Cow::Owned(clean) = blanking.redact(text) {
        *text = clean;
    }
}
