import { CredentialsManager, RolloutLinkProvider } from "link-react-0.5";
import "link-react-0.5/style.css";
import { show } from "./published.jsx";

show(RolloutLinkProvider, CredentialsManager, () => ({}));
