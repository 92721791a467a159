// A product's page with the published client. The tests say by the address whose page it is.
import { createRoot } from "react-dom/client";

export function show(Provider, Manager, options) {
  const { searchParams } = new URL(location.href);
  const token = async () => (await fetch(`/token?consumer=${searchParams.get("consumer")}`)).text();
  const told = (type) => (credential) => window.told.push({ type, id: credential.id, appKey: credential.appKey });
  createRoot(document.querySelector("#root")).render(
    <Provider token={token} apiBaseUrl={`${STAGE_HOST}/api`}>
      <Manager
        {...options(searchParams.get("plan"))}
        entitiesToSync={{ notes: true }}
        onCredentialAdded={told("credential-added")}
        onCredentialDeleted={told("credential-deleted")}
      />
    </Provider>,
  );
}
