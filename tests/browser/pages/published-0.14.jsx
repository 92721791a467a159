import { CredentialsManager, RolloutLinkProvider } from "link-react-0.14";
import "link-react-0.14/style.css";
import { show } from "./published.jsx";

show(RolloutLinkProvider, CredentialsManager, (plan) => ({ plan: plan ? { "follow-up-boss": plan } : undefined }));
