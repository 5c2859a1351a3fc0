/** The extension's own icon. */
import { LabIcon } from '@jupyterlab/ui-components';

/** Three boxes and what binds them. */
export const flyteIcon = new LabIcon({
  name: 'flyte-jupyter:workflow',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 9h6v6H3zM15 3h6v6h-6zM15 15h6v6h-6z"/>
    <path d="M9 11h2.2V5H15v2h-1.8v10H15v2h-3.8v-6H9z"/>
  </g>
</svg>`
});
