// A product's page with the host's own React component.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { RolloutLink } from "../../../host/server/src/link/react.js";

function Settings() {
  const [turns, turn] = useState(0);
  const { searchParams } = new URL(location.href);
  const told = (type) => (detail) => {
    window.heard = [...(window.heard ?? []), { type, turns, ...detail }];
    turn(turns + 1);
  };
  return (
    <>
      <button onClick={() => turn(turns + 1)}>Turn {turns}</button>
      <RolloutLink
        token={async () => (await fetch(`/token?consumer=${searchParams.get("consumer")}`)).text()}
        apiBaseUrl={`${STAGE_HOST}/api`}
        apps={["follow-up-boss"]}
        plan="api-key"
        entitiesToSync={{ notes: true }}
        className="in-settings"
        onSuccess={told("success")}
        onDelete={told("delete")}
      />
    </>
  );
}

createRoot(document.querySelector("#root")).render(<Settings />);
